import type { Admission, AdmissionRequest, Ask, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { HoldAnswer, HoldRequest } from '../../core/ledger.ts'
import { authorise } from './authority.ts'
import { askForHold, type Holder, holdRequest, holdsMoney, requireHeld, withdraw, withdrawBefore } from './holding.ts'
import { loadAlone } from './load.ts'
import type { createLocalLimit } from './local-limit.ts'
import type { Known } from './recognise.ts'
import { invalidCredential } from './refusals.ts'
import { heldAmount } from './targets.ts'

/** How long after Postgres was asked an isolate may go on trusting a policy that Redis cannot confirm. */
const UNCONFIRMED_MS = 60_000

type Alone = {
  deps: Deps
  request: AdmissionRequest
  entry: Known
  localLimit: ReturnType<typeof createLocalLimit>
  /** What the ledger said while Redis was being asked, and under which policy. */
  earlier: { policy: Policy | undefined; hold: HoldRequest | undefined; held: HoldAnswer | undefined }
}

/** Without Redis: what this isolate knows for a minute, then Postgres; limits at a share, money as exact as ever. */
export async function admitAlone(
  { deps, request, entry, localLimit, earlier }: Alone,
  ask: (policy: Policy) => Ask | Promise<Ask>,
): Promise<Admission> {
  const isTrusted = () => entry.policy !== undefined && deps.now() - entry.confirmedMs <= UNCONFIRMED_MS
  if (!isTrusted()) await loadAlone(deps, entry, isTrusted)
  const { policy } = entry
  if (!policy) throw invalidCredential()
  const admission = unheld(policy)
  authorise(admission, request, deps.now())
  const waitMs = localLimit(policy.limits, deps.now())
  if (waitMs > 0)
    throw new AppError('rate_limit_exceeded', 'Too many requests.', { retryAfterSeconds: Math.ceil(waitMs / 1000) })
  const asked = await ask(policy)
  const isSame = earlier.policy === policy
  // Asking again for a request that holds already changes nothing: it would hold in the budgets of before.
  if (!isSame && earlier.hold && earlier.held?.ok !== false) await withdrawBefore(deps, earlier.hold)
  return holdAlone({ deps, request, policy, asked }, isSame ? earlier : undefined)
}

type Asked = { deps: Deps; request: Holder; policy: Policy; asked: Ask }

/** The admission of a call whose targets nobody can tell of; `earlier` is what the ledger has said of it already. */
export async function holdAlone(
  { deps, request, policy, asked }: Asked,
  earlier: Pick<Alone['earlier'], 'hold' | 'held'> | undefined,
): Promise<Admission> {
  const hold = holdRequest(policy, request, asked)
  const { cache } = asked
  // Nobody can tell whether it still is the one: the isolate's own copy is good for as long as it is kept.
  const cached = cache?.held === undefined ? undefined : { stamp: cache.held, value: undefined }
  const admission = { ...unheld(policy), cached }
  if (!hold) return admission
  const held = earlier?.held
  const [answer] = await Promise.allSettled([held ?? askForHold({ deps, request }, hold)])
  if (answer.status === 'rejected' && holdsMoney(hold)) request.defer(withdraw(deps, hold))
  const holding = requireHeld({ policy, hold, asked, nowMs: deps.now() }, answer)
  // What was asked a second time may have come out differently; what the ledger holds is what it was asked first.
  return { ...admission, ...holding, ...heldAmount(held ? earlier?.hold : hold, holding.held) }
}

const unheld = (policy: Policy): Admission => ({
  policy,
  held: false,
  openBreakers: new Map(),
  statesUnknown: true,
  cached: undefined,
  requests: undefined,
  tokens: undefined,
  tokenCharges: [],
})

import type { Admission, AdmissionRequest, Admit, Ask, Limit, Policy, RateState } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { AppError, DependencyError } from '../../core/errors.ts'
import type { HoldAnswer, HoldRequest } from '../../core/ledger.ts'
import { hashKey, parseKey } from '../keys/service.ts'
import { REFUSED, redisKeys } from './keys.ts'
import { createLocalLimit } from './local-limit.ts'
import { limitLookups, loadPolicy, rememberPolicy } from './records.ts'
import { scraperAdmission } from './scraper.ts'
import { admissionScript, readReply, type ScriptReply, scriptInput } from './script.ts'

export { redisKeys } from './keys.ts'

/** How long an isolate may go on trusting a policy that Redis cannot confirm. */
const UNCONFIRMED_MS = 60_000
const MAX_REMEMBERED_KEYS = 10_000
/** A key's record can be missing and then change version while we load it, not more often than that by honest means. */
const MAX_ROUNDS = 4

const NOTHING: Ask = { tokens: 0, candidates: [] }

type Known = { hash: string; policy: Policy | undefined; confirmedMs: number }
type Outcome = { reply: ScriptReply; hold: HoldAnswer | undefined }

/**
 * Admission for one gateway: it owns what this isolate remembers of keys. The sequence of a call is: recognise the
 * key, work out what it asks, ask Redis and the ledger side by side, and repeat with the newer policy if Redis had one.
 */
export function createAdmit(): Admit {
  const known = new Map<string, Known>()
  const localLimit = createLocalLimit()

  return async (deps, request, ask) => {
    const scraper = scraperAdmission(deps.settings.metricsToken, request.credential)
    if (scraper) return authorise(scraper, request)
    const entry = await recognise(deps, known, request.credential)
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const asked = entry.policy && usable(entry.policy, request, deps.now()) ? await ask(entry.policy) : NOTHING
      const outcome = await consult({ deps, request, entry, asked })
      if (outcome === 'redis_away') return await admitAlone({ deps, request, entry, localLimit }, ask)
      const { reply, hold } = outcome
      if (reply.kind !== 'admitted' && hold?.ok) request.defer(release(deps, entry, request))
      if (reply.kind === 'admitted') return decide({ deps, request, entry, asked }, reply, hold)
      if (reply.kind === 'refused') throw limitError(reply.limit, reply.retryMs, asked)
      await refresh(deps, request, entry, reply).finally(() => {
        if (!entry.policy && request.credential !== undefined) known.delete(request.credential)
      })
    }
    throw new DependencyError('redis', new Error('the key record kept changing'))
  }
}

type Round = { deps: Deps; request: AdmissionRequest; entry: Known; asked: Ask }
type Alone = Omit<Round, 'asked'> & { localLimit: ReturnType<typeof createLocalLimit> }

async function recognise(deps: Deps, known: Map<string, Known>, credential: string | undefined): Promise<Known> {
  if (credential === undefined)
    throw new AppError('missing_api_key', 'No API key was given: send "Authorization: Bearer hx_…".')
  const remembered = known.get(credential)
  if (remembered) return remembered
  if (!parseKey(credential)) throw invalidKey()
  const entry: Known = { hash: await hashKey(deps.settings.keyPepper, credential), policy: undefined, confirmedMs: 0 }
  if (known.size >= MAX_REMEMBERED_KEYS) {
    const [oldest] = known.keys()
    if (oldest !== undefined) known.delete(oldest)
  }
  known.set(credential, entry)
  return entry
}

const usable = (policy: Policy, request: AdmissionRequest, nowMs: number): boolean =>
  !expired(policy, nowMs) && hasScope(policy, request.scope)

/** The one network wait: Redis and, where money must be held, the ledger. */
async function consult({ deps, request, entry, asked }: Round): Promise<Outcome | 'redis_away'> {
  const { hash, policy } = entry
  const hold = policy && holdRequest(policy, request, asked)
  const { keys, args } = scriptInput({ hash, policy, ask: asked, hold, nowMs: deps.now() })
  const [script, held] = await Promise.allSettled([
    deps.redis.run(admissionScript, keys, args),
    hold && deps.ledgerOf(hold.facts.org_id).hold(hold),
  ])
  if (script.status === 'rejected') {
    if (!(script.reason instanceof DependencyError)) throw script.reason
    deps.log.warn('redis_away_at_admission', { cause: String(script.reason.cause) })
    return 'redis_away'
  }
  const reply = readReply(script.value, policy, asked)
  if (reply.kind === 'admitted' && held.status === 'rejected') throw budgetUnavailable(held.reason)
  return { reply, hold: held.status === 'fulfilled' ? held.value : undefined }
}

function holdRequest(policy: Policy, request: AdmissionRequest, { hold }: Ask): HoldRequest | undefined {
  if (!hold || policy.budgets.length === 0) return undefined
  const facts = { ...hold.facts, request_id: request.requestId, org_id: policy.orgId, key_id: policy.keyId }
  return { facts, amountNanoUsd: hold.amountNanoUsd, deadlineMs: hold.deadlineMs, budgets: policy.budgets }
}

/** Redis did not know the key, or knew a newer policy of it. */
async function refresh(deps: Deps, request: AdmissionRequest, entry: Known, reply: ScriptReply): Promise<void> {
  if (reply.kind === 'other_version' && reply.version === REFUSED) {
    entry.policy = undefined
    throw invalidKey()
  }
  if (reply.kind === 'other_version' && reply.policy) {
    entry.policy = JSON.parse(reply.policy)
    entry.confirmedMs = deps.now()
    return
  }
  await limitLookups(deps, request.ip)
  const policy = await loadPolicy(deps, entry.hash)
  await rememberPolicy(deps, entry.hash, policy)
  entry.policy = policy
  if (!policy) throw invalidKey()
}

function decide(round: Round, reply: ScriptReply & { kind: 'admitted' }, hold: HoldAnswer | undefined): Admission {
  const { deps, request, entry, asked } = round
  const policy = entry.policy
  if (!policy) throw invalidKey()
  entry.confirmedMs = deps.now()
  if (hold && !hold.ok) {
    request.defer(forgetOpen(deps, policy.orgId, request.requestId))
    throw quotaError(hold.budgetId)
  }
  const minute = Math.floor(deps.now() / 60_000)
  return authorise(
    {
      policy,
      held: hold?.ok === true,
      openBreakers: openBreakers(asked, reply.breakers, deps.now()),
      cached: reply.cached ?? undefined,
      requests: rateOf(policy.limits, reply.rates, 'requests'),
      tokens: rateOf(policy.limits, reply.rates, 'tokens'),
      tokenCharges: policy.limits
        .filter((limit) => limit.metric === 'tokens' && asked.tokens > 0)
        .map((limit) => ({ key: redisKeys.tokens(policy.orgId, limit.id, minute), tokens: asked.tokens })),
    },
    request,
    deps.now(),
  )
}

/** Without Redis: what this isolate knows for a minute, then Postgres; limits at a share, money as exact as ever. */
async function admitAlone({ deps, request, entry, localLimit }: Alone, ask: (policy: Policy) => Ask | Promise<Ask>) {
  if (!entry.policy || deps.now() - entry.confirmedMs > UNCONFIRMED_MS) {
    entry.policy = await loadPolicy(deps, entry.hash)
    entry.confirmedMs = deps.now()
  }
  const policy = entry.policy
  if (!policy) throw invalidKey()
  const admission: Admission = {
    policy,
    held: false,
    openBreakers: new Map(),
    cached: undefined,
    requests: undefined,
    tokens: undefined,
    tokenCharges: [],
  }
  authorise(admission, request, deps.now())
  const waitMs = localLimit(policy.limits, deps.now())
  if (waitMs > 0)
    throw new AppError('rate_limit_exceeded', 'Too many requests.', { retryAfterSeconds: Math.ceil(waitMs / 1000) })
  const asked = await ask(policy)
  const wanted = holdRequest(policy, request, asked)
  const hold =
    wanted &&
    (await deps
      .ledgerOf(policy.orgId)
      .hold(wanted)
      .catch((cause: unknown) => {
        throw budgetUnavailable(cause)
      }))
  if (hold && !hold.ok) throw quotaError(hold.budgetId)
  return { ...admission, held: hold?.ok === true }
}

function authorise(admission: Admission, request: AdmissionRequest, nowMs = 0): Admission {
  if (expired(admission.policy, nowMs)) throw invalidKey()
  if (!hasScope(admission.policy, request.scope)) {
    throw new AppError('permission_denied', `This key lacks the scope ${request.scope}.`)
  }
  return admission
}

const expired = (policy: Policy, nowMs: number) => policy.expiresAt !== undefined && policy.expiresAt * 1000 <= nowMs

/** `<area>:write` includes `<area>:read`; `*` stands for every area. */
export function hasScope({ scopes }: Pick<Policy, 'scopes'>, scope: string): boolean {
  if (scopes.includes(scope) || scopes.includes('*:*')) return true
  const [area, verb] = scope.split(':')
  return verb === 'read' && (scopes.includes(`${area}:write`) || scopes.includes('*:read'))
}

function openBreakers(asked: Ask, states: readonly (string | null)[], nowMs: number): ReadonlyMap<string, number> {
  const open = new Map<string, number>()
  states.forEach((state, at) => {
    const target = asked.candidates[at]
    if (target !== undefined && state !== null && Number(state) > nowMs) open.set(target, Number(state))
  })
  return open
}

/** The tightest of a caller's limits of one metric is what its headers tell. */
function rateOf(
  limits: readonly Limit[],
  rates: readonly { remaining: number; resetMs: number }[],
  metric: Limit['metric'],
): RateState | undefined {
  let tightest: RateState | undefined
  limits.forEach((limit, at) => {
    const rate = rates[at]
    if (limit.metric !== metric || !rate) return
    if (tightest && tightest.remaining <= rate.remaining) return
    tightest = { limit: limit.perMinute, remaining: rate.remaining, resetSeconds: Math.ceil(rate.resetMs / 1000) }
  })
  return tightest
}

async function release(deps: Deps, entry: Known, request: AdmissionRequest): Promise<void> {
  const orgId = entry.policy?.orgId
  if (orgId !== undefined) await deps.ledgerOf(orgId).release(request.requestId)
}

/** The script noted this call as holding money, but the ledger refused it. */
async function forgetOpen(deps: Deps, orgId: string, requestId: string): Promise<void> {
  await deps.redis.pipeline([['HDEL', redisKeys.open(orgId), [requestId]]])
}

const invalidKey = () => new AppError('invalid_api_key', 'This API key is not valid.')

const budgetUnavailable = (cause: unknown) =>
  new AppError('budget_unavailable', 'The budget of this key cannot be checked right now.', {
    retryAfterSeconds: 1,
    cause,
  })

const quotaError = (budgetId: string) =>
  new AppError('insufficient_quota', `The budget ${budgetId} does not cover the worst case of this request.`, {
    details: { budget_id: budgetId },
  })

function limitError(limit: Limit, retryMs: number, asked: Ask): AppError {
  const details = { limit_id: limit.id }
  if (limit.metric === 'tokens' && asked.tokens > limit.perMinute) {
    const message = `This request needs about ${asked.tokens} tokens; the limit is ${limit.perMinute} a minute.`
    return new AppError('request_exceeds_limit', message, { details })
  }
  const message = `Limit reached: ${limit.perMinute} ${limit.metric} a minute for this ${limit.subject}.`
  return new AppError('rate_limit_exceeded', message, {
    details,
    retryAfterSeconds: Math.max(1, Math.ceil(retryMs / 1000)),
  })
}

import type { Admission, AdmissionRequest, Admit, Ask, Policy, UsedUp } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { type AppError, DependencyError } from '../../core/errors.ts'
import type { HoldAnswer, HoldRequest } from '../../core/ledger.ts'
import { parseKey } from '../keys/service.ts'
import { countedLimits, frameOf, ttlSecondsOf } from '../limits/service.ts'
import { looksLikeAccessToken } from '../signing/service.ts'
import { admitAlone } from './alone.ts'
import { authorise, refusalOf } from './authority.ts'
import { createDenials } from './denials.ts'
import { askForHold, forgetOpen, holdRequest, requireHeld, withdraw, withdrawBefore } from './holding.ts'
import { refresh } from './load.ts'
import { createLocalLimit } from './local-limit.ts'
import { reseat } from './places.ts'
import { rateOf } from './rates.ts'
import { type Known, recognise } from './recognise.ts'
import { invalidCredential, limitError } from './refusals.ts'
import { isScraper, scraperAdmission } from './scraper.ts'
import { admissionScript } from './script.ts'
import { readReply, type ScriptReply, scriptInput } from './script-call.ts'
import { figuresByTarget, giveBackProbes, heldAmount, statesByTarget } from './targets.ts'

export { redisKeys } from './keys.ts'
export { forgetTarget, noteTarget, type TargetNote, type TargetNoted } from './note-script.ts'
export { peek } from './peek.ts'
export { createStrangers } from './strangers.ts'
export { giveBackProbe, giveBackProbes, type Probe } from './targets.ts'

/** A record can be missing, change and come of age while we load it, not more often than that by honest means. */
const MAX_ROUNDS = 6

const NOTHING: Ask = { tokens: 0, candidates: [] }

/** One question to the stores: under which policy what was asked, and when. */
type Round = {
  deps: Deps
  request: AdmissionRequest
  record: string
  policy: Policy | undefined
  /** Why this policy does not let the caller in. Redis is asked all the same: it may know a newer one. */
  refusal: AppError | undefined
  asked: Ask
  hold: HoldRequest | undefined
  nowMs: number
}
type Outcome = { reply: ScriptReply | 'redis_away'; held: PromiseSettledResult<HoldAnswer | undefined> }

/**
 * Admission for one gateway: it owns what this isolate remembers of credentials. The sequence of a call is: recognise
 * the credential, work out what it asks, ask Redis and the ledger side by side, and repeat with the newer policy if Redis had one.
 */
export function createAdmit(): Admit {
  const known = new Map<string, Known>()
  const localLimit = createLocalLimit()
  const noteDenial = createDenials()

  const admit: Admit = async (deps, request, ask) => {
    const scraper = scraperAdmission(deps.settings.metricsToken, request.credential)
    if (scraper) return authorise(scraper, request, deps.now())
    const entry = await recognise(deps, known, request)
    try {
      for (let round = 0; round < MAX_ROUNDS; round++) {
        const question = await pose({ deps, request, entry }, ask)
        const outcome = await consult(question)
        const { reply } = outcome
        if (reply === 'redis_away') {
          const earlier = { policy: question.policy, hold: question.hold, held: answerOf(outcome) }
          return await orWithdrawn(question, outcome, () =>
            admitAlone({ deps, request, entry, localLimit, earlier }, ask),
          )
        }
        if (reply.kind === 'admitted') {
          entry.confirmedMs = Number(reply.atMs)
          return await orWithdrawn(question, outcome, () => decide(question, reply, outcome.held))
        }
        if (reply.kind === 'refused') {
          return await orWithdrawn(question, outcome, () => {
            throw limitError(reply, question.asked)
          })
        }
        // The next round holds under the same request id: what this one holds must be gone by then.
        if (question.hold && !isRefused(outcome)) await withdrawBefore(deps, question.hold)
        await refresh(deps, request, entry, reply)
      }
    } catch (error) {
      noteDenial(deps, request, { policy: entry.policy, error })
      if (entry.policy) request.onRefused?.(entry.policy)
      throw error
    } finally {
      // A credential that turned out to be none shall not push real ones out of memory.
      if (!entry.policy && request.credential !== undefined) known.delete(request.credential)
    }
    throw new DependencyError('redis', new Error('the record kept changing'))
  }
  admit.mayBeKnown = (deps, credential) =>
    credential !== undefined && (known.has(credential) || looksKnown(deps, credential))
  return admit
}

const looksKnown = ({ settings }: Pick<Deps, 'settings'>, credential: string): boolean =>
  parseKey(credential) !== undefined || looksLikeAccessToken(credential) || isScraper(settings.metricsToken, credential)

async function pose(
  { deps, request, entry }: { deps: Deps; request: AdmissionRequest; entry: Known },
  ask: (policy: Policy) => Ask | Promise<Ask>,
): Promise<Round> {
  const { record, policy } = entry
  const refusal = policy && refusalOf(policy, request, deps.now())
  // Nothing is held or charged in tokens for a caller who will be refused.
  const asked = policy && !refusal ? await ask(policy) : NOTHING
  return {
    deps,
    request,
    record,
    policy,
    refusal,
    asked,
    hold: policy && holdRequest(policy, request, asked),
    nowMs: deps.now(),
  }
}

/** The one network wait: Redis and, where money must be held, the ledger. */
async function consult({ deps, request, record, policy, asked, hold, nowMs }: Round): Promise<Outcome> {
  const { keys, args } = scriptInput({ record, policy, ask: asked, hold, nowMs })
  const replying = deps.redis.run(admissionScript, keys, args).then((reply) => readReply(reply, policy, asked))
  const mayWait = () =>
    replying.then(
      ({ kind }) => kind === 'admitted',
      () => true,
    )
  const [script, held] = await Promise.allSettled([replying, hold && askForHold({ deps, request, mayWait }, hold)])
  if (script.status === 'fulfilled') return { reply: script.value, held }
  if (!(script.reason instanceof DependencyError)) {
    if (hold) request.defer(withdraw(deps, hold))
    throw script.reason
  }
  deps.log.warn('redis_away_at_admission', { cause: String(script.reason.cause) })
  return { reply: 'redis_away', held }
}

async function decide(
  { deps, request, policy, refusal, asked, hold, nowMs }: Round,
  reply: ScriptReply & { kind: 'admitted' },
  held: Outcome['held'],
): Promise<Admission> {
  if (!policy) throw invalidCredential()
  if (refusal) throw refusal
  const { openBreakers, states } = statesByTarget(asked, reply.states)
  const used = usedUp(asked, reply.usedUp, nowMs)
  const isOut = (target: string) =>
    openBreakers.has(target) || used.has(target) || states?.get(target)?.kind === 'cooling'
  const askAgain = (moved: HoldRequest) => askForHold({ deps, request }, moved)
  const holding = requireHeld({ policy, hold, asked, nowMs }, await reseat(askAgain, hold, { held, isOut }))
  return {
    policy,
    ...holding,
    ...heldAmount(hold, holding.held),
    openBreakers,
    states,
    figures: figuresByTarget(asked, reply.figures, nowMs),
    turn: reply.turn,
    usedUp: new Map([...(holding.usedUp ?? []), ...used]),
    cached: reply.cached,
    vault: asked.vault && vaultOf(asked.vault, reply.vault),
    requests: rateOf(policy.limits, reply.rates, 'requests'),
    tokens: rateOf(policy.limits, reply.rates, 'tokens'),
    tokenCharges: tokenCharges(policy, { reply, tokens: asked.tokens, nowMs }),
  }
}

type Charged = { reply: ScriptReply & { kind: 'admitted' }; tokens: number; nowMs: number }

/** The token windows in which the script counted this request. */
function tokenCharges({ orgId, limits }: Policy, { reply, tokens, nowMs }: Charged): Admission['tokenCharges'] {
  if (tokens === 0) return []
  const own = countedLimits(limits).filter((_, at) => reply.rates[at]?.remaining !== -1)
  return [...own, ...reply.charged].flatMap((limit) => {
    if (limit.metric !== 'tokens') return []
    const frame = frameOf(orgId, limit, nowMs)
    const about = {
      tokens,
      ttlSeconds: ttlSecondsOf(frame),
      ...(limit.target !== undefined && { target: limit.target }),
    }
    return frame.keys.slice(0, 1).map((key) => ({ key, ...about }))
  })
}

const answerOf = ({ held }: Outcome): HoldAnswer | undefined => (held.status === 'fulfilled' ? held.value : undefined)

const isRefused = (outcome: Outcome): boolean => answerOf(outcome)?.ok === false

/** A call that is not admitted leaves nothing behind, neither a hold nor its name among the open calls. */
async function orWithdrawn(
  { deps, request, asked, hold }: Round,
  outcome: Outcome,
  admitting: () => Admission | Promise<Admission>,
): Promise<Admission> {
  try {
    return await admitting()
  } catch (error) {
    // A Redis that did not answer in time may yet list the call: the ledger takes it off the list with its batches.
    const { reply } = outcome
    if (hold && (reply === 'redis_away' || !isRefused(outcome))) request.defer(withdraw(deps, hold))
    if (reply !== 'redis_away' && reply.kind === 'admitted') {
      if (hold) request.defer(forgetOpen(deps, hold))
      giveBackProbes({ ...deps, defer: request.defer }, statesByTarget(asked, reply.states))
    }
    throw error
  }
}

const vaultOf = (keys: readonly string[], values: readonly (string | null)[]): ReadonlyMap<string, string> =>
  new Map(
    keys.flatMap((key, at) => {
      const value = values[at]
      return typeof value === 'string' ? [[key, value] as const] : []
    }),
  )

type ByTarget = (ScriptReply & { kind: 'admitted' })['usedUp']

const usedUp = ({ candidates }: Ask, waits: ByTarget, nowMs: number): ReadonlyMap<string, UsedUp> =>
  new Map(
    candidates.flatMap((target, at) => {
      const wait = waits[at]
      return wait ? [[target, { limitId: wait.limitId, untilMs: nowMs + wait.waitMs }] as const] : []
    }),
  )

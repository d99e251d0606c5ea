import type { Admission, Ask, Policy, UsedUp } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { type AppError, DependencyError } from '../../core/errors.ts'
import { type HoldAnswer, type HoldRequest, LISTED_WITHIN_MS } from '../../core/ledger.ts'
import { countedLimits, frameOf, ttlSecondsOf } from '../limits/service.ts'
import { askForHold, forgetOpen, type Holder, requireHeld, withdraw } from './holding.ts'
import { reseat } from './places.ts'
import { rateOf } from './rates.ts'
import { invalidCredential } from './refusals.ts'
import { admissionScript } from './script.ts'
import { readReply, type ScriptReply, scriptInput } from './script-call.ts'
import { figuresByTarget, giveBackProbes, heldAmount, statesByTarget } from './targets.ts'

/** One question to the stores: under which policy what was asked, and when. */
export type Round = {
  deps: Deps
  request: Holder
  /** Where the caller's policy is kept; undefined where it is known to hold. */
  record: string | undefined
  policy: Policy | undefined
  /** Why this policy does not let the caller in. Redis is asked all the same: it may know a newer one. */
  refusal: AppError | undefined
  asked: Ask
  hold: HoldRequest | undefined
  nowMs: number
}

/** An isolate that stood still, and Redis with it, may have the call listed when its credit is over. */
const LISTED_IN_TIME_MS = LISTED_WITHIN_MS / 2

export type Outcome = { reply: ScriptReply | 'redis_away'; held: PromiseSettledResult<HoldAnswer | undefined> }

/** The one network wait: Redis and, where money must be held, the ledger. */
export async function consult({ deps, request, record, policy, asked, hold, nowMs }: Round): Promise<Outcome> {
  const { keys, args } = scriptInput({ record, policy, ask: asked, hold, nowMs })
  const replying = deps.redis.run(admissionScript, keys, args).then((reply) => readReply(reply, policy, asked))
  const mayWait = () =>
    replying.then(
      ({ kind }) => kind === 'admitted',
      () => true,
    )
  const [script, held] = await Promise.allSettled([replying, hold && askForHold({ deps, request, mayWait }, hold)])
  if (script.status === 'fulfilled') {
    const isLate = hold?.creditId !== undefined && deps.now() > nowMs + LISTED_IN_TIME_MS
    return {
      reply: script.value,
      held: isLate && script.value.kind === 'admitted' ? await announced(deps, hold) : held,
    }
  }
  if (!(script.reason instanceof DependencyError)) {
    if (hold) request.defer(withdraw(deps, hold))
    throw script.reason
  }
  deps.log.warn('redis_away_at_admission', { cause: String(script.reason.cause) })
  // Nobody knows of a call that drew on credit: Redis was to remember it.
  return { reply: 'redis_away', held: hold?.creditId === undefined ? held : await announced(deps, hold) }
}

async function announced(deps: Deps, { facts }: HoldRequest): Promise<Outcome['held']> {
  const [answer] = await Promise.allSettled([deps.ledgerOf(facts.org_id).announce(facts.request_id)])
  return answer
}

/** What Redis and the ledger have let in. Throws as `requireHeld`, and for a caller who may not come in at all. */
export async function decide(
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

export const answerOf = ({ held }: Outcome): HoldAnswer | undefined =>
  held.status === 'fulfilled' ? held.value : undefined

export const isRefused = (outcome: Outcome): boolean => answerOf(outcome)?.ok === false

/** A call that is not admitted leaves nothing behind, neither a hold nor its name among the open calls. */
export async function orWithdrawn(
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

import type { Ask, Limit, Policy } from '../../core/admission.ts'
import type { HoldRequest } from '../../core/ledger.ts'
import type { RedisArgument } from '../../core/redis.ts'
import { countedLimits, countedOnTargets, frameOf, isOnTarget, limitKeys } from '../limits/service.ts'
import { holdsMoney } from './holding.ts'
import { redisKeys } from './keys.ts'

type Question = { record: string; policy: Policy | undefined; ask: Ask; hold: HoldRequest | undefined; nowMs: number }

const KINDS = { bucket: 'b', sliding: 's', fixed: 'f' } as const

/** The script's input for one request of a caller whose policy this isolate holds (or believes to hold). */
export function scriptInput({ record, policy, ask, hold, nowMs }: Question) {
  const keys: string[] = [record]
  const told: RedisArgument[] = []
  const orgId = policy?.orgId ?? ''
  const { own, shared } = limitsOf(policy, ask)
  let monitors = false
  const tell = (limit: Limit): void => {
    const frame = frameOf(orgId, limit, nowMs)
    const size = limit.metric === 'tokens' ? ask.tokens : 1
    const isMonitored = limit.mode === 'monitor'
    keys.push(...frame.keys)
    told.push(
      KINDS[frame.kind],
      limit.amount,
      frame.kind === 'bucket' ? (limit.burst ?? limit.amount) : size,
      frame.windowMs,
      frame.intoMs,
      isMonitored ? limit.id : '',
    )
    monitors ||= isMonitored
  }
  for (const limit of own) tell(limit)
  for (const limit of shared) tell(limit)
  if (shared.length > 0) for (const target of ask.candidates) told.push(numbersOn(target, shared))
  if (monitors) keys.push(limitKeys.shadow(orgId, nowMs))
  for (const breaker of ask.breakers ?? ask.candidates) keys.push(redisKeys.breaker(breaker))
  if (ask.cache !== undefined) keys.push(ask.cache.key)
  const open = hold && holdsMoney(hold) ? hold : undefined
  if (open) keys.push(redisKeys.open(orgId))
  keys.push(...(ask.vault ?? []))
  const args: RedisArgument[] = [
    policy?.version ?? '',
    nowMs,
    own.length,
    shared.length,
    ask.candidates.length,
    ask.cache === undefined ? 0 : 1,
    open?.facts.request_id ?? '',
    open ? JSON.stringify({ ...open, concurrency: undefined, places: undefined }) : '',
    ...told,
  ]
  return { keys, args }
}

/** What Redis counts of a request: by the caller's own limits, and by those of the providers that may answer it. */
const limitsOf = (policy: Policy | undefined, { candidates }: Ask) => ({
  own: countedLimits(policy?.limits ?? []),
  shared: countedOnTargets(policy?.limits ?? [], candidates),
})

const numbersOn = (target: string, shared: readonly Limit[]): string =>
  shared.flatMap((limit, at) => (isOnTarget(limit, target) ? [at + 1] : [])).join(' ')

/** Where a limit stands after a request. `remaining` is -1 where a monitoring limit would have refused. */
export type Standing = { remaining: number; resetMs: number }

export type ScriptReply =
  | { kind: 'no_record' }
  | { kind: 'other_version'; version: string; policy: string | null; atMs: string }
  | { kind: 'due'; version: string; atMs: string }
  | { kind: 'refused'; limit: Limit; retryMs: number; remaining: number; resetMs: number }
  | {
      kind: 'admitted'
      /** When the record was read from Postgres, Unix ms. */
      atMs: string
      /** Of the counted limits of the caller, in their order. */
      rates: readonly Standing[]
      breakers: (string | null)[]
      cached: string | null
      /** Limits of providers in which the request was counted. */
      charged: readonly Limit[]
      /** Of each target for how long it is used up and by which limit; undefined for one that has room. */
      usedUp: readonly ({ waitMs: number; limitId: string } | undefined)[]
      /** What is kept under each key of the vault. */
      vault: (string | null)[]
    }

/** Reads a reply against the request that caused it. Throws on a shape that the script cannot have sent. */
export function readReply(reply: unknown, policy: Policy | undefined, ask: Ask): ScriptReply {
  if (!Array.isArray(reply)) throw new TypeError('admission: the script answered no list')
  const { own, shared } = limitsOf(policy, ask)
  switch (Number(reply[0])) {
    case 0:
      return { kind: 'no_record' }
    case 1:
      return { kind: 'other_version', version: String(reply[1]), policy: textOrNull(reply[2]), atMs: String(reply[3]) }
    case 2: {
      const at = Number(reply[1]) - 1
      const limit = own[at] ?? shared[at - own.length]
      if (!limit) throw new TypeError('admission: the script named a limit that was not asked')
      const [retryMs, remaining, resetMs] = [Number(reply[2]), Number(reply[3]), Number(reply[4])]
      return { kind: 'refused', limit, retryMs, remaining, resetMs }
    }
    case 3:
      return readAdmitted(reply, { own, shared, ask })
    case 4:
      return { kind: 'due', version: policy?.version ?? '', atMs: String(reply[1]) }
    default:
      throw new TypeError('admission: the script answered an unknown kind')
  }
}

type Counted = ReturnType<typeof limitsOf> & { ask: Ask }

function readAdmitted(reply: readonly unknown[], { own, shared, ask }: Counted): ScriptReply & { kind: 'admitted' } {
  const { candidates } = ask
  const rates = own.map((_, at) => ({ remaining: Number(reply[2 + at * 2]), resetMs: Number(reply[3 + at * 2]) }))
  const breakersAt = 2 + own.length * 2
  const cachedAt = breakersAt + candidates.length
  const usedUpAt = cachedAt + 1 + shared.length
  const vaultAt = usedUpAt + (shared.length > 0 ? candidates.length * 2 : 0)
  return {
    kind: 'admitted',
    atMs: String(reply[1]),
    rates,
    breakers: candidates.map((_, at) => textOrNull(reply[breakersAt + at])),
    cached: textOrNull(reply[cachedAt]),
    charged: shared.filter((_, at) => Number(reply[cachedAt + 1 + at]) === 1),
    usedUp: candidates.map((_, at) => {
      const [waitMs, no] = [Number(reply[usedUpAt + at * 2] ?? 0), Number(reply[usedUpAt + at * 2 + 1])]
      const limit = shared.length > 0 && waitMs > 0 ? shared[no - own.length - 1] : undefined
      return limit && { waitMs, limitId: limit.id }
    }),
    vault: (ask.vault ?? []).map((_, at) => textOrNull(reply[vaultAt + at])),
  }
}

const textOrNull = (value: unknown): string | null => (value === null || value === undefined ? null : String(value))

import type { Ask, Limit, Policy } from '../../core/admission.ts'
import type { HoldRequest } from '../../core/ledger.ts'
import type { RedisArgument } from '../../core/redis.ts'
import type { TargetState } from '../../core/routing.ts'
import { countedLimits, countedOnTargets, frameOf, isOnTarget, limitKeys } from '../limits/service.ts'
import { holdsMoney } from './holding.ts'
import { redisKeys } from './keys.ts'

/** `record` is undefined for a policy that is known to hold. */
type Question = {
  record: string | undefined
  policy: Policy | undefined
  ask: Ask
  hold: HoldRequest | undefined
  nowMs: number
}

/** In the place of a record and of its version: the script takes the policy at its word. */
const UNREAD = '*'

const KINDS = { bucket: 'b', sliding: 's', fixed: 'f' } as const

/** The script's input for one request of a caller whose policy this isolate holds (or believes to hold). */
export function scriptInput({ record, policy, ask, hold, nowMs }: Question) {
  const keys: string[] = [record ?? UNREAD]
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
  for (const id of ask.breakers ?? ask.candidates) keys.push(redisKeys.target(id))
  const wants = tellWants(ask, keys, told)
  const open = hold && holdsMoney(hold) ? hold : undefined
  if (open) keys.push(redisKeys.open(orgId))
  keys.push(...(ask.vault ?? []))
  const args: RedisArgument[] = [
    record === undefined ? UNREAD : (policy?.version ?? ''),
    nowMs,
    own.length,
    shared.length,
    ask.candidates.length,
    wants,
    open?.facts.request_id ?? '',
    open ? JSON.stringify({ ...open, concurrency: undefined, places: undefined }) : '',
    ...told,
  ]
  return { keys, args }
}

/** What only some calls ask: its keys and arguments, and the letters by which the script knows. */
function tellWants(ask: Ask, keys: string[], told: RedisArgument[]): string {
  const { figures, busy, turn, cache } = ask
  if (!figures && !busy && turn === undefined && !cache) return ''
  const ids = ask.breakers ?? ask.candidates
  let wants = ''
  if (figures) {
    wants += 'f'
    for (const id of ids) keys.push(redisKeys.figures(id))
    told.push(`o:${figures.taskType}`)
  }
  if (busy) {
    wants += 'b'
    for (const id of ids) keys.push(redisKeys.busy(id))
    told.push(busy.isolate, ...ids.map((_, at) => busy.counts[at] ?? 0))
  }
  if (turn !== undefined) {
    wants += 't'
    keys.push(turn)
  }
  if (cache) {
    wants += 'c'
    keys.push(cache.key, cache.index)
    told.push(cache.held ?? '')
  }
  return wants
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
      /** Of the targets; undefined for one that is closed. */
      states: readonly (TargetState | undefined)[]
      /** What was asked of the targets beside, as far as it is known. */
      figures: readonly ToldFigures[] | undefined
      turn: number | undefined
      cached: { stamp: string; value: string | undefined } | undefined
      /** Limits of providers in which the request was counted. */
      charged: readonly Limit[]
      /** Of each target for how long it is used up and by which limit; undefined for one that has room. */
      usedUp: readonly ({ waitMs: number; limitId: string } | undefined)[]
      /** What is kept under each key of the vault. */
      vault: (string | null)[]
    }

/** The texts that are kept of a target's figures, and its calls under way. */
export type ToldFigures = { figures: string | null; output: string | null; inFlight: number | undefined }

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
  let at = 1
  const next = (): unknown => reply[at++]
  const atMs = String(next())
  const rates = own.map(() => ({ remaining: Number(next()), resetMs: Number(next()) }))
  const ids = ask.breakers ?? candidates
  const states = ids.map((id) => stateOf(id, next()))
  const charged = shared.filter(() => Number(next()) === 1)
  const usedUp = candidates.map(() => {
    const [waitMs, no] = shared.length > 0 ? [Number(next()), Number(next())] : [0, 0]
    const limit = waitMs > 0 ? shared[no - own.length - 1] : undefined
    return limit && { waitMs, limitId: limit.id }
  })
  const figures = ask.figures && candidates.map(() => ({ figures: textOrNull(next()), output: textOrNull(next()) }))
  const busy = ask.busy && candidates.map(() => Number(next()))
  const turn = ask.turn === undefined ? undefined : Number(next())
  const [stamp, value] = ask.cache ? [textOrNull(next()), textOrNull(next())] : [null, null]
  return {
    kind: 'admitted',
    atMs,
    rates,
    states,
    charged,
    usedUp,
    figures:
      figures || busy
        ? candidates.map((_, of) => ({ figures: null, output: null, ...figures?.[of], inFlight: busy?.[of] }))
        : undefined,
    turn,
    cached: stamp === null ? undefined : { stamp, value: value ?? undefined },
    vault: (ask.vault ?? []).map(() => textOrNull(next())),
  }
}

/** `o<until>`, `c<until>`, or `p<place>:<until>`. */
function stateOf(id: string, told: unknown): TargetState | undefined {
  const text = textOrNull(told)
  if (text === null) return undefined
  const kind = text[0]
  if (kind === 'p') {
    const [slot, untilMs] = text.slice(1).split(':').map(Number)
    return { kind: 'probe', id, slot: slot ?? 0, untilMs: untilMs ?? 0 }
  }
  return { kind: kind === 'c' ? 'cooling' : 'open', untilMs: Number(text.slice(1)) }
}

const textOrNull = (value: unknown): string | null => (value === null || value === undefined ? null : String(value))

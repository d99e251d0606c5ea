import type { Admission, Ask, Limit, Policy, UsedUp } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import type { RedisCommand } from '../../core/redis.ts'
import { breakerRules } from '../../core/reliability.ts'
import type { TargetState } from '../../core/routing.ts'
import { countedOnTargets, type Frame, frameOf, isOnTarget, standingOf } from '../limits/service.ts'
import { redisKeys } from './keys.ts'
import { BUSY_FRESH_MS } from './script.ts'
import type { ToldFigures } from './script-call.ts'
import { figuresByTarget, statesByTarget } from './targets.ts'

type Seen = Pick<Admission, 'openBreakers' | 'states' | 'figures' | 'usedUp' | 'turn'>
type World = Pick<Deps, 'redis' | 'now'>

/**
 * What the admission of such a call would be told of its targets: the same as by the script, but nothing is counted,
 * taken or moved on. One Redis request. Throws `DependencyError('redis')`.
 */
export async function peek({ redis, now }: World, policy: Policy, ask: Ask): Promise<Seen> {
  const { candidates, breakers: ids = candidates } = ask
  const nowMs = now()
  const counted = framesOf(policy, ask, nowMs)
  const groups: readonly (readonly RedisCommand[])[] = [
    counted.flatMap(({ frame }) => frame.keys).map((key) => ['GET', key] as const),
    ids.map((id) => ['HGETALL', redisKeys.target(id)] as const),
    ask.figures ? ids.map((id) => ['HGETALL', redisKeys.figures(id)] as const) : [],
    ask.busy ? ids.map((id) => ['HGETALL', redisKeys.busy(id)] as const) : [],
    ask.turn === undefined ? [] : [['GET', ask.turn] as const],
  ]
  const commands = groups.flat()
  const replies = commands.length === 0 ? [] : await redis.pipeline(commands)
  let at = 0
  const [counts = [], states = [], figures = [], busy = [], turn = []] = groups.map(({ length }) => {
    at += length
    return replies.slice(at - length, at)
  })
  const usedUp = usedUpOf(ask, counted, { counts, nowMs })
  const isUsedUp = (no: number): boolean => usedUp.has(candidates[no] ?? '')
  return {
    ...statesByTarget(ask, statesOf(states.map(fieldsOf), { ids, nowMs, isUsedUp })),
    figures: figuresByTarget(ask, figuresOf(ask, { figures, busy, nowMs }), nowMs),
    usedUp,
    turn: ask.turn === undefined ? undefined : Number(turn[0] ?? 0) + 1,
  }
}

type Counted = { limit: Limit; frame: Frame }

/** Limits of providers that take targets away, and where they are counted. */
const framesOf = (policy: Policy, { candidates }: Ask, nowMs: number): Counted[] =>
  countedOnTargets(policy.limits, candidates)
    .filter(({ mode }) => mode === 'enforce')
    .map((limit) => ({ limit, frame: frameOf(policy.orgId, limit, nowMs) }))

function usedUpOf(
  ask: Ask,
  counted: readonly Counted[],
  { counts, nowMs }: { counts: readonly unknown[]; nowMs: number },
): ReadonlyMap<string, UsedUp> {
  const keys = counted.flatMap(({ frame }) => frame.keys)
  const states = new Map(keys.flatMap((key, at) => (counts[at] ? [[key, String(counts[at])] as const] : [])))
  const short = counted.flatMap(({ limit, frame }) => {
    const { remaining, resetMs } = standingOf(limit, frame, { states, nowMs })
    return remaining >= sizeOf(limit, ask) ? [] : [{ limit, untilMs: nowMs + resetMs }]
  })
  const used = (target: string): UsedUp | undefined => {
    const [last] = short
      .filter(({ limit }) => isOnTarget(limit, target))
      .toSorted((one, other) => other.untilMs - one.untilMs)
    return last && { limitId: last.limit.id, untilMs: last.untilMs }
  }
  return new Map(
    ask.candidates.flatMap((target) => {
      const found = used(target)
      return found ? [[target, found] as const] : []
    }),
  )
}

const sizeOf = ({ metric }: Limit, { tokens }: Ask): number => (metric === 'tokens' ? tokens : 1)

type Fields = ReadonlyMap<string, string>

const fieldsOf = (reply: unknown): Fields =>
  new Map(reply !== null && typeof reply === 'object' ? Object.entries(reply).map(([k, v]) => [k, String(v)]) : [])

type Standing = { ids: readonly string[]; nowMs: number; isUsedUp: (at: number) => boolean }

/** The first that can be tried may be one that was out, where a place of those who try it is free; no other is then. */
function statesOf(all: readonly Fields[], { ids, nowMs, isUsedUp }: Standing): (TargetState | undefined)[] {
  let hasTarget = false
  return all.map((fields, at) => {
    const [openMs, coolMs] = [Number(fields.get('u') ?? 0), Number(fields.get('c') ?? 0)]
    if (openMs > nowMs) return { kind: 'open', untilMs: openMs }
    if (coolMs > nowMs) return { kind: 'cooling', untilMs: coolMs }
    const leases = ['p1', 'p2', 'p3'].map((place) => Number(fields.get(place) ?? 0))
    const slot = leases.findIndex((lease) => lease <= nowMs) + 1
    const isHalfOpen = fields.has('u')
    const isFirst = !hasTarget && !isUsedUp(at) && (!isHalfOpen || slot > 0)
    hasTarget ||= isFirst
    if (!isHalfOpen) return undefined
    if (isFirst) return { kind: 'probe', id: ids[at] ?? '', slot, untilMs: nowMs + breakerRules.probeMs }
    return { kind: 'open', untilMs: Math.max(nowMs, ...[Math.min(...leases)]) }
  })
}

type Told = { figures: readonly unknown[]; busy: readonly unknown[]; nowMs: number }

function figuresOf(ask: Ask, { figures, busy, nowMs }: Told): ToldFigures[] | undefined {
  if (!ask.figures && !ask.busy) return undefined
  const output = `o:${ask.figures?.taskType}`
  return ask.candidates.map((_, at) => {
    const known = fieldsOf(figures[at])
    return {
      figures: known.get('f') ?? null,
      output: known.get(output) ?? null,
      inFlight: ask.busy && othersCalls(fieldsOf(busy[at]), ask.busy.isolate, nowMs) + (ask.busy.counts[at] ?? 0),
    }
  })
}

/** Calls under way of the other isolates that have told of theirs lately. */
function othersCalls(told: Fields, isolate: string, nowMs: number): number {
  let sum = 0
  for (const [name, text] of told) {
    const [calls = 0, atMs = 0] = text.split(':').map(Number)
    if (name !== isolate && atMs + BUSY_FRESH_MS > nowMs) sum += calls
  }
  return sum
}

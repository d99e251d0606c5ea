import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LONGEST_LEASE_MS } from '../../../src/core/gate.ts'
import { DEFAULT_NODE_LIMITS, type NodeClass, type NodeLimits, nodeClasses } from '../../../src/core/node.ts'
import { type Priority, priorities } from '../../../src/core/routing.ts'
import { createGate } from '../../../src/features/gates/service.ts'
import { count } from '../../support/lane.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const levels: Readonly<Record<Priority, number>> = { low: 1, normal: 2, high: 3, critical: 4 }
const RENEWAL_MS = LONGEST_LEASE_MS / 3

/** The same numbers every time (mulberry32). */
function numbers(seed: number) {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (most: number): number => Math.floor(next() * most)
  return { below, oneOf: <T>(some: readonly T[]): T => some[below(some.length)] as T }
}

type Ticket = {
  id: string
  class: NodeClass
  priority: Priority
  arrivedMs: number
  order: number
  state: 'waiting' | 'inside' | 'gone'
  /** While it is inside: until when the gate may count on it. */
  untilMs: number
  /** When its caller does something next; of a killed one never. */
  nextMs: number
  worksUntilMs: number
  isKilled: boolean
}

const rankOf = ({ arrivedMs, priority }: Ticket): number => arrivedMs - levels[priority] * 10_000
const isBefore = (one: Ticket, other: Ticket): boolean =>
  rankOf(one) === rankOf(other) ? one.order < other.order : rankOf(one) < rankOf(other)

/** Callers before a gate, and a plain account of who must be where, kept apart from it. */
function crowdOf(seed: number, limits: NodeLimits) {
  const storage = sqliteStorage()
  let life = 0
  /** What is left of an earlier life reaches nothing. */
  const begin = () => {
    const own = ++life
    const exec: typeof storage.exec = (...statement) => (own === life ? storage.exec(...statement) : [])
    return createGate({ exec, now: Date.now })
  }
  let gate = begin()
  const { below, oneOf } = numbers(seed)
  const tickets = new Map<string, Ticket>()
  let order = 0
  let granted: Ticket[] = []
  const seen = { most: 0, granted: 0, refused: 0, renewed: 0, killed: 0 }

  const inside = (of?: NodeClass): Ticket[] =>
    [...tickets.values()].filter((one) => one.state === 'inside' && (of === undefined || one.class === of))

  const free = (): void => {
    for (const one of tickets.values()) {
      if (one.state === 'inside' && one.untilMs <= Date.now()) one.state = 'gone'
      if (one.state === 'gone') tickets.delete(one.id)
    }
  }

  const ask = (one: Ticket): void => {
    one.state = 'waiting'
    one.arrivedMs = Date.now()
    one.order = order++
    one.nextMs = Number.POSITIVE_INFINITY
    const { id, class: of, priority } = one
    const entry = { ticket: id, class: of, priority, limits, waitMs: 30_000, leaseMs: LONGEST_LEASE_MS }
    void gate.enter(entry).then((answer) => {
      if (tickets.get(id) !== one) return
      one.state = answer.ok ? 'inside' : 'gone'
      seen[answer.ok ? 'granted' : 'refused'] += 1
      if (!answer.ok) return
      granted.push(one)
      one.untilMs = Date.now() + LONGEST_LEASE_MS
      one.worksUntilMs = Date.now() + (below(20) === 0 ? 400_000 : 200 + below(4000))
      one.nextMs = Math.min(one.worksUntilMs, Date.now() + RENEWAL_MS)
    })
  }

  const check = (): void => {
    const waiting = [...tickets.values()].filter(({ state }) => state === 'waiting')
    const isFull = (of: NodeClass) => inside(of).length >= limits[of]
    seen.most = Math.max(seen.most, inside().length)
    expect(inside().length).toBeLessThanOrEqual(limits.gpu_tasks)
    for (const of of nodeClasses) expect(inside(of).length).toBeLessThanOrEqual(limits[of])
    const overtaken = granted.flatMap((one) =>
      waiting.filter((other) => isBefore(other, one) && !isFull(other.class)).map((other) => [one.id, other.id]),
    )
    expect(overtaken).toEqual([])
    const couldEnter = inside().length < limits.gpu_tasks ? waiting.filter((one) => !isFull(one.class)) : []
    expect(couldEnter.map(({ id }) => id)).toEqual([])
    granted = []
  }

  const advanceTo = async (atMs: number): Promise<void> => {
    await vi.advanceTimersByTimeAsync(Math.max(0, atMs - Date.now()))
    free()
  }

  /** The next thing that one of the callers does; false when all of them wait or are dead. */
  const act = async (killsMore: () => boolean): Promise<boolean> => {
    const next = [...tickets.values()].reduce<Ticket | undefined>(
      (first, one) => (one.nextMs < (first?.nextMs ?? Number.POSITIVE_INFINITY) ? one : first),
      undefined,
    )
    if (!next) return false
    await advanceTo(next.nextMs)
    if (next.state !== 'inside') return true
    if (killsMore()) {
      seen.killed += 1
      next.nextMs = Number.POSITIVE_INFINITY
      next.isKilled = true
    } else if (next.worksUntilMs <= Date.now()) {
      next.state = 'gone'
      await gate.leave(next.id)
    } else {
      seen.renewed += 1
      next.untilMs = Date.now() + LONGEST_LEASE_MS
      next.nextMs = Math.min(next.worksUntilMs, Date.now() + RENEWAL_MS)
      expect(await gate.renew(next.id, LONGEST_LEASE_MS)).toBe(true)
    }
    await advanceTo(Date.now())
    return true
  }

  const join = async (): Promise<void> => {
    const id = `t${order}`
    const [of, priority] = [oneOf(nodeClasses), oneOf(priorities)]
    const idle = { arrivedMs: 0, order: 0, state: 'waiting' as const, untilMs: 0, nextMs: 0, worksUntilMs: 0 }
    const one: Ticket = { id, class: of, priority, ...idle, isKilled: false }
    tickets.set(id, one)
    ask(one)
    await advanceTo(Date.now())
  }

  /** The gate's next life: whoever waited asks again, as they came. */
  const crash = async (): Promise<void> => {
    gate = begin()
    for (const one of [...tickets.values()].toSorted((a, b) => a.order - b.order)) {
      if (one.state !== 'waiting') continue
      tickets.delete(one.id)
      const again = { ...one }
      tickets.set(one.id, again)
      ask(again)
    }
    await advanceTo(Date.now())
  }

  const living = (): number => [...tickets.values()].filter(({ isKilled }) => !isKilled).length
  return { join, act, check, crash, advanceTo, below, living, seen, gate: () => gate }
}

describe('places at a node', () => {
  it('are never more than its limits, go by priority and arrival, and are not lost with callers who are killed', async () => {
    const operations = count(1500, 10_000)
    const kills = operations / 100
    const crowd = crowdOf(7, DEFAULT_NODE_LIMITS)
    for (let done = 0; done < operations; done++) {
      const isDue = () => crowd.seen.killed < kills && crowd.below(10) === 0
      if (done % 400 === 399) await crowd.crash()
      else if (crowd.living() < 50 && crowd.below(2) === 0) await crowd.join()
      else if (!(await crowd.act(isDue))) await crowd.advanceTo(Date.now() + 5000)
      crowd.check()
    }
    expect(crowd.seen).toMatchObject({ most: DEFAULT_NODE_LIMITS.gpu_tasks, killed: kills })
    expect(Math.min(crowd.seen.granted, crowd.seen.refused, crowd.seen.renewed)).toBeGreaterThan(operations / 100)
    await vi.advanceTimersByTimeAsync(LONGEST_LEASE_MS + 30_000)
    const places = crowd.gate().occupancy()
    expect(places).toEqual({ inFlight: {}, waiting: 0 })
    for (const of of ['chat', 'embed', 'vision', 'audio', 'gpu_workflows'] as const) {
      const all = Array.from({ length: DEFAULT_NODE_LIMITS[of] }, (_, at) => `${of}${at}`)
      const wanted = { class: of, priority: 'normal' as const, limits: DEFAULT_NODE_LIMITS, waitMs: 0, leaseMs: 1000 }
      for (const ticket of all) expect(await crowd.gate().enter({ ...wanted, ticket })).toEqual({ ok: true })
      expect(await crowd.gate().enter({ ...wanted, ticket: 'more' })).toMatchObject({ ok: false })
      for (const ticket of all) await crowd.gate().leave(ticket)
    }
  })

  it('of one class keep nobody of another waiting, unless all places together are taken', async () => {
    const gate = createGate({ exec: sqliteStorage().exec, now: Date.now })
    const answers = new Map<string, boolean>()
    const limits = { ...DEFAULT_NODE_LIMITS, gpu_tasks: 3 }
    const enter = async (ticket: string, of: NodeClass, priority: Priority = 'normal') => {
      const entry = { ticket, class: of, priority, limits, waitMs: 20_000, leaseMs: 60_000 }
      void gate.enter(entry).then(({ ok }) => answers.set(ticket, ok))
      await vi.advanceTimersByTimeAsync(0)
      return answers.get(ticket)
    }
    const leave = async (ticket: string) => {
      await gate.leave(ticket)
      await vi.advanceTimersByTimeAsync(0)
    }
    expect([await enter('v1', 'vision'), await enter('v2', 'vision'), await enter('v3', 'vision')]).toEqual([
      true,
      true,
      undefined,
    ])
    expect(await enter('c1', 'chat')).toBe(true)
    expect(await enter('c2', 'chat')).toBeUndefined()
    expect(await enter('e1', 'embed', 'high')).toBeUndefined()
    await leave('c1')
    expect([answers.get('e1'), answers.get('c2'), answers.get('v3')]).toEqual([true, undefined, undefined])
    await leave('e1')
    expect([answers.get('c2'), answers.get('v3')]).toEqual([true, undefined])
    await leave('v1')
    expect(answers.get('v3')).toBe(true)
    expect(gate.occupancy()).toEqual({ inFlight: { chat: 1, vision: 2 }, waiting: 0 })
  })

  it('have no more than a hundred waiting for them over all classes, and tell the others when to come back', async () => {
    const gate = createGate({ exec: sqliteStorage().exec, now: Date.now })
    let refused = 0
    for (let at = 0; at < 140; at++) {
      const of = nodeClasses[at % nodeClasses.length] ?? 'chat'
      const wanted = { class: of, priority: 'critical' as const, limits: DEFAULT_NODE_LIMITS }
      void gate.enter({ ...wanted, ticket: `t${at}`, waitMs: 30_000, leaseMs: 60_000 }).then((answer) => {
        if (!answer.ok && answer.retryAfterMs >= 1000) refused += 1
      })
    }
    await vi.advanceTimersByTimeAsync(0)
    expect(gate.occupancy().waiting).toBe(100)
    expect(refused).toBe(140 - 100 - DEFAULT_NODE_LIMITS.gpu_tasks)
  })

  it('are renewed by who works for long, and not given back to who comes too late', async () => {
    const gate = createGate({ exec: sqliteStorage().exec, now: Date.now })
    const limits = { ...DEFAULT_NODE_LIMITS, chat: 1 }
    const wanted = { class: 'chat' as const, priority: 'normal' as const, limits, waitMs: 0, leaseMs: 180_000 }
    await gate.enter({ ...wanted, ticket: 'long' })
    for (let minute = 0; minute < 20; minute++) {
      await vi.advanceTimersByTimeAsync(60_000)
      expect(await gate.renew('long', 180_000)).toBe(true)
      expect(await gate.enter({ ...wanted, ticket: 'other' })).toMatchObject({ ok: false })
    }
    await vi.advanceTimersByTimeAsync(180_000)
    expect(await gate.enter({ ...wanted, ticket: 'other' })).toEqual({ ok: true })
    expect(await gate.renew('long', 180_000)).toBe(false)
    expect(gate.occupancy().inFlight).toEqual({ chat: 1 })
  })

  it('that were taken before there were classes are those of chats', async () => {
    const { exec } = sqliteStorage()
    exec('create table leases (ticket text primary key, until_ms integer not null)')
    exec('insert into leases (ticket, until_ms) values (?, ?)', 'old', Date.now() + 60_000)
    expect(createGate({ exec, now: Date.now }).occupancy()).toEqual({ inFlight: { chat: 1 }, waiting: 0 })
    expect(createGate({ exec, now: Date.now }).occupancy().inFlight).toEqual({ chat: 1 })
  })
})

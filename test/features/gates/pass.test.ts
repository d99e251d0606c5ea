import { describe, expect, it, vi } from 'vitest'
import type { Ctx } from '../../../src/core/context.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import type { Gate, GateAnswer, GateEntry } from '../../../src/core/gate.ts'
import type { ChatStream, Provider } from '../../../src/core/models.ts'
import { DEFAULT_NODE_LIMITS, type NodeLink } from '../../../src/core/node.ts'
import { leavingAfter, type Passing, passGate } from '../../../src/features/gates/service.ts'
import { fakeDeps, keptLog } from '../../support/fake-deps.ts'

const away = () => Promise.reject(new DependencyError('gate', new Error('away')))

/** A caller before a gate that is played. */
function worldOf(answer: (entry: GateEntry) => Promise<GateAnswer>, leaving: () => Promise<void> = async () => {}) {
  const entered: GateEntry[] = []
  const left: string[] = []
  const renewed: [ticket: string, leaseMs: number][] = []
  const asked: string[] = []
  const deferred: Promise<unknown>[] = []
  const { log, lines } = keptLog()
  const gate: Gate = {
    enter: (entry) => {
      entered.push(entry)
      return answer(entry)
    },
    renew: async (ticket, leaseMs) => {
      renewed.push([ticket, leaseMs])
      return true
    },
    leave: (ticket) => {
      left.push(ticket)
      return leaving()
    },
    look: away,
    history: away,
    forget: away,
  }
  const gateOf = (id: string) => {
    asked.push(id)
    return gate
  }
  const defer: Ctx['defer'] = (work) => void deferred.push(work)
  const world = { ...fakeDeps({ gateOf, log, now: Date.now }), defer }
  const leaver = new AbortController()
  const node: Pick<Provider, 'name' | 'maxConcurrency'> = { name: 'node', maxConcurrency: 4 }
  const pass = (given: Partial<Provider> = {}, waits = true, more: Partial<Passing> = {}) =>
    passGate(world, {
      // The gate looks at nothing else of a provider.
      provider: { ...node, ...given } as Provider,
      priority: undefined,
      leftMs: 20_000,
      waits,
      signal: leaver.signal,
      ...more,
    })
  return { pass, renewed, entered, left, asked, leaver, lines, settled: () => Promise.all(deferred) }
}

describe('an attempt before a gate', () => {
  it('enters with the time that it has left, and leaves once', async () => {
    const { pass, entered, left, asked, settled, leaver } = worldOf(async () => ({ ok: true }))
    const leave = await pass()
    expect(asked).toEqual(['node'])
    expect(entered).toMatchObject([
      { class: 'chat', priority: 'normal', limits: { chat: 4, gpu_tasks: 4 }, waitMs: 10_000, leaseMs: 25_000 },
    ])
    leave()
    leave()
    leaver.abort()
    await settled()
    expect(left).toEqual([entered[0]?.ticket])
  })

  it('asks nobody where no limit is known, and goes by the account where there is one', async () => {
    const free = worldOf(async () => ({ ok: true }))
    ;(await free.pass({ maxConcurrency: undefined }))()
    expect(free.asked).toEqual([])
    const own = worldOf(async () => ({ ok: true }))
    const account = { id: 'prv_1', vendor: undefined, models: [], maxRetries: 0, usable: () => 1, readyAtMs: () => 0 }
    await own.pass({ account })
    expect(own.asked).toEqual(['prv_1'])
  })

  it('waits for no place where another target could answer', async () => {
    const { pass, entered } = worldOf(async () => ({ ok: true }))
    await pass({}, false)
    expect(entered).toMatchObject([{ waitMs: 0 }])
  })

  it('that is refused is told when to come back, and has nothing to leave', async () => {
    const { pass, left, settled } = worldOf(async () => ({ ok: false, retryAfterMs: 7000 }))
    await expect(pass()).rejects.toMatchObject({ fault: 'overloaded', retryAfterMs: 7000 })
    await settled()
    expect(left).toEqual([])
  })

  it('leaves when its caller does, while it waits and after it', async () => {
    const waiting = Promise.withResolvers<GateAnswer>()
    const { pass, left, leaver, settled } = worldOf(() => waiting.promise)
    const passing = expect(pass()).rejects.toMatchObject({ fault: 'aborted' })
    leaver.abort()
    waiting.reject(new DependencyError('gate', new Error('withdrawn')))
    await passing
    await settled()
    expect(left).toHaveLength(1)
    const inside = worldOf(async () => ({ ok: true }))
    await inside.pass()
    inside.leaver.abort()
    await inside.settled()
    expect(inside.left).toHaveLength(1)
    await expect(inside.pass()).rejects.toMatchObject({ fault: 'aborted' })
  })

  it('asks once more when the gate dies, and goes on without it when that does not help', async () => {
    let tries = 0
    const reborn = worldOf(async () => (tries++ === 0 ? away() : { ok: false, retryAfterMs: 1000 }))
    await expect(reborn.pass()).rejects.toMatchObject({ fault: 'overloaded' })
    expect(reborn.entered.map(({ ticket }) => ticket)).toEqual(Array(2).fill(reborn.entered[0]?.ticket))
    const gone = worldOf(away, away)
    const leave = await gone.pass()
    leave()
    await gone.settled()
    expect(gone.lines.map(({ event }) => event)).toEqual(['gate_away', 'gate_away'])
  })
})

describe('an attempt at a node', () => {
  const send = () => Promise.reject(new Error('nobody asks'))
  const link: NodeLink = {
    id: 'node_1',
    isShared: false,
    endpoints: { baseUrl: 'https://node.test' },
    limits: { ...DEFAULT_NODE_LIMITS, vision: 1 },
    isDraining: false,
    watch: 'shared',
    send,
  }

  it('enters by the class of its work, within the limits of the node', async () => {
    const { pass, entered, asked } = worldOf(async () => ({ ok: true }))
    const leave = await pass({ node: link, maxConcurrency: 9 }, true, { work: { class: 'vision', priority: 'high' } })
    expect(asked).toEqual(['node_1'])
    expect(entered).toMatchObject([{ class: 'vision', priority: 'high', limits: { vision: 1, chat: 4 } }])
    leave()
  })

  it('that takes long keeps its place by renewing it, and stops with its end or its time', async () => {
    vi.useFakeTimers()
    try {
      const { pass, entered, renewed } = worldOf(async () => ({ ok: true }))
      const leave = await pass({ node: link }, true, { leftMs: 300_000 })
      expect(entered).toMatchObject([{ leaseMs: 180_000 }])
      await vi.advanceTimersByTimeAsync(120_000)
      expect(renewed).toEqual(Array(2).fill([entered[0]?.ticket, 180_000]))
      leave()
      await vi.advanceTimersByTimeAsync(600_000)
      expect(renewed).toHaveLength(2)
      await pass({ node: link }, true, { leftMs: 200_000 })
      await vi.advanceTimersByTimeAsync(900_000)
      expect(renewed.slice(2).map(([, leaseMs]) => leaseMs)).toEqual([145_000, 85_000, 25_000])
      await pass({ node: link }, true, { leftMs: 20_000 })
      await vi.advanceTimersByTimeAsync(900_000)
      expect(renewed).toHaveLength(5)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('a stream behind a gate', () => {
  const streamOf = (reads: (() => ReturnType<ChatStream['read']>)[]) => {
    let cancelled = 0
    let left = 0
    const stream: ChatStream = {
      read: () => reads.shift()?.() ?? Promise.resolve(undefined),
      cancel: () => {
        cancelled += 1
      },
    }
    const leaving = leavingAfter(stream, () => {
      left += 1
    })
    return { leaving, counts: () => ({ cancelled, left }) }
  }

  it('is left at its end, when it breaks off and when it is cancelled, and not before', async () => {
    const whole = streamOf([async () => []])
    await whole.leaving.read()
    expect(whole.counts().left).toBe(0)
    await whole.leaving.read()
    expect(whole.counts()).toEqual({ cancelled: 0, left: 1 })
    const broken = streamOf([() => Promise.reject(new Error('cut'))])
    await expect(broken.leaving.read()).rejects.toThrow('cut')
    expect(broken.counts().left).toBe(1)
    const stopped = streamOf([async () => []])
    stopped.leaving.cancel()
    expect(stopped.counts()).toEqual({ cancelled: 1, left: 1 })
  })
})

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Provider } from '../../../src/core/models.ts'
import { DEFAULT_NODE_LIMITS, type NodeLink, type NodeRequest } from '../../../src/core/node.ts'
import { OutboundError } from '../../../src/core/outbound.ts'
import { createGate, loadAhead, passGate } from '../../../src/features/gates/service.ts'
import { fakeDeps } from '../../support/fake-deps.ts'
import { inProcess } from '../../support/gateway.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const TUNNEL_MS = 100_000

/** A node behind a tunnel that loads a model for so long, and callers before its gate. */
function start(loadMs: number, answer?: (request: NodeRequest) => Response | undefined) {
  let loadedMs = Number.POSITIVE_INFINITY
  let silences = 0
  const asked: string[] = []
  const send: NodeLink['send'] = async (request) => {
    asked.push(request.path)
    const own = answer?.(request)
    if (own) return own
    if (request.path === '/api/ps') return Response.json({ models: Date.now() >= loadedMs ? [{ name: 'big' }] : [] })
    loadedMs = Math.min(loadedMs, Date.now() + loadMs)
    const leftMs = loadedMs - Date.now()
    await new Promise<void>((resolve, reject) => {
      setTimeout(resolve, Math.min(leftMs, TUNNEL_MS))
      request.signal?.addEventListener('abort', () => reject(new OutboundError('aborted', 'ended')))
    })
    if (leftMs <= TUNNEL_MS) return Response.json({ done: true })
    silences += 1
    return new Response('', { status: 524 })
  }
  const node: NodeLink = {
    id: 'node_1',
    isShared: true,
    endpoints: { baseUrl: 'https://node.test' },
    limits: DEFAULT_NODE_LIMITS,
    isDraining: false,
    watch: 'shared',
    send,
  }
  const gate = createGate({ exec: sqliteStorage().exec, now: Date.now })
  const world = { ...fakeDeps({ gateOf: () => inProcess(gate), now: Date.now }), defer: () => undefined }
  const leaver = new AbortController()
  const passing = {
    // The gate looks at nothing else of a provider.
    provider: { name: 'gpu', node } as Provider,
    work: { class: 'chat' as const },
    leftMs: 300_000,
    waits: true,
    signal: leaver.signal,
  }
  const loading = (leftMs = 300_000, signal = leaver.signal) =>
    loadAhead(world, { ...passing, leftMs, signal, node, model: 'big' })
  return { loading, pass: () => passGate(world, passing), gate, asked, leaver, silences: () => silences }
}

/** How it ended, as soon as it has. */
function endOf(work: Promise<unknown>) {
  const seen: { end?: unknown } = {}
  work.then(
    () => {
      seen.end = 'ok'
    },
    (error: unknown) => {
      seen.end = error
    },
  )
  return seen
}

describe('a model that takes longer to load than a tunnel is patient', () => {
  it('is loaded before it is asked anything, and nobody waits for a tunnel that has given up', async () => {
    const { loading, gate, asked, silences } = start(130_000)
    const seen = endOf(loading())
    await vi.advanceTimersByTimeAsync(129_000)
    expect(seen.end).toBeUndefined()
    expect(gate.occupancy().inFlight).toEqual({ chat: 1 })
    await vi.advanceTimersByTimeAsync(5000)
    expect(seen.end).toBe('ok')
    expect(silences()).toBe(0)
    expect(gate.occupancy().inFlight).toEqual({})
    expect(asked.filter((path) => path === '/api/generate').length).toBe(2)
  })

  it('holds one place, however many want it: calls of other models go on', async () => {
    const { loading, pass, gate } = start(90_000)
    const waiting = Array.from({ length: 10 }, () => endOf(loading()))
    await vi.advanceTimersByTimeAsync(10_000)
    expect(gate.occupancy()).toEqual({ inFlight: { chat: 1 }, waiting: 0 })
    for (let at = 0; at < 3; at++) await pass()
    expect(gate.occupancy()).toEqual({ inFlight: { chat: 4 }, waiting: 0 })
    await vi.advanceTimersByTimeAsync(90_000)
    expect(waiting.map(({ end }) => end)).toEqual(Array(10).fill('ok'))
    expect(gate.occupancy().inFlight).toEqual({ chat: 3 })
  })

  it('holds that place until the last who wants it has left, and gives up nobody else’s', async () => {
    const { loading, pass, gate } = start(90_000)
    const impatient = new AbortController()
    const gone = endOf(loading(300_000, impatient.signal))
    const waiting = Array.from({ length: 3 }, () => endOf(loading()))
    for (let at = 0; at < 3; at++) await pass()
    await vi.advanceTimersByTimeAsync(1000)
    impatient.abort()
    const late = endOf(pass())
    await vi.advanceTimersByTimeAsync(20_000)
    expect([gone.end, late.end]).toMatchObject([{ fault: 'aborted' }, undefined])
    expect(gate.occupancy()).toEqual({ inFlight: { chat: 4 }, waiting: 1 })
    await vi.advanceTimersByTimeAsync(75_000)
    expect(waiting.map(({ end }) => end)).toEqual(['ok', 'ok', 'ok'])
  })

  it('waits like any other call where all places are taken, however many want it, and goes in at once', async () => {
    const { loading, pass, gate, asked } = start(5000)
    const leaves = await Promise.all(Array.from({ length: 4 }, pass))
    const waiting = Array.from({ length: 5 }, () => endOf(loading()))
    await vi.advanceTimersByTimeAsync(10_000)
    expect(gate.occupancy()).toEqual({ inFlight: { chat: 4 }, waiting: 5 })
    expect(asked).toEqual([])
    leaves[0]?.()
    await vi.advanceTimersByTimeAsync(1000)
    expect(gate.occupancy()).toEqual({ inFlight: { chat: 4 }, waiting: 0 })
    await vi.advanceTimersByTimeAsync(10_000)
    expect(waiting.map(({ end }) => end)).toEqual(Array(5).fill('ok'))
    expect(gate.occupancy()).toEqual({ inFlight: { chat: 3 }, waiting: 0 })
  })

  it('that is there already costs one question', async () => {
    const { loading, asked } = start(0, ({ path }) =>
      path === '/api/ps' ? Response.json({ models: [{ name: 'big' }] }) : undefined,
    )
    await loading()
    expect(asked).toEqual(['/api/ps'])
  })

  it('is given up when the time is over, when its caller leaves, and when the node says that it cannot', async () => {
    const slow = start(1_000_000)
    const late = endOf(slow.loading(120_000))
    await vi.advanceTimersByTimeAsync(130_000)
    expect(late.end).toMatchObject({ fault: 'timeout' })
    const left = start(1_000_000)
    const gone = endOf(left.loading())
    await vi.advanceTimersByTimeAsync(1000)
    left.leaver.abort()
    await vi.advanceTimersByTimeAsync(0)
    expect(gone.end).toMatchObject({ fault: 'aborted' })
    expect(left.gate.occupancy().inFlight).toEqual({})
    const full = start(0, ({ path }) =>
      path === '/api/generate'
        ? new Response('{"error":"model requires more system memory"}', { status: 500 })
        : undefined,
    )
    await expect(full.loading()).rejects.toMatchObject({ fault: 'status', status: 500 })
    expect(full.gate.occupancy().inFlight).toEqual({})
  })
})

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Ask } from '../../../src/core/admission.ts'
import type { RedisCommand } from '../../../src/core/redis.ts'
import type { TargetState } from '../../../src/core/routing.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { noteTarget } from '../../../src/features/admission/note-script.ts'
import { backends, type RedisBackend } from './backends.ts'
import { callerOf, list, requests, START_MS } from './script-caller.ts'

const PROBE_MS = 60_000

describe.each(backends)('targets in the admission script on $name', ({ start }) => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  async function caller() {
    const { run, name, policy } = await callerOf(backend, [])
    const [a, b, c] = [`a/m${name}`, `b/m${name}`, `c/m${name}`]
    const states = async (nowMs: number, candidates: string[], ask: Partial<Ask> = {}) => {
      const reply = await run(nowMs, { candidates, ...ask })
      if (reply.kind !== 'admitted') throw new Error(`it was ${reply.kind}`)
      return reply.states
    }
    const is = (id: string, fields: Record<string, string>): RedisCommand => ['HSET', redisKeys.target(id), fields]
    const put = (...commands: RedisCommand[]) => backend.redis.pipeline(commands)
    return { run, states, is, put, policy, a, b, c, name }
  }

  const open = (untilMs: number): TargetState => ({ kind: 'open', untilMs })
  const probe = (id: string, slot: number, nowMs: number): TargetState => ({
    kind: 'probe',
    id,
    slot,
    untilMs: nowMs + PROBE_MS,
  })

  it('are open until then, and cooling until then, and nothing is said of those that are closed', async () => {
    const { states, is, put, a, b, c } = await caller()
    await put(is(a, { u: String(START_MS + 9) }), is(b, { c: String(START_MS + 7) }), is(c, { f: '4' }))
    expect(await states(START_MS, [a, b, c])).toEqual([
      open(START_MS + 9),
      { kind: 'cooling', untilMs: START_MS + 7 },
      undefined,
    ])
    expect(await states(START_MS + 7, [b, c])).toEqual([undefined, undefined])
  })

  it('that may be tried again are tried by three at once, and by another one when a place was not given back', async () => {
    const { states, is, put, a } = await caller()
    await put(is(a, { u: String(START_MS) }))
    for (const slot of [1, 2, 3]) expect(await states(START_MS + slot, [a])).toEqual([probe(a, slot, START_MS + slot)])
    const firstEndsMs = START_MS + 1 + PROBE_MS
    expect(await states(START_MS + 4, [a])).toEqual([open(firstEndsMs)])
    expect(await states(firstEndsMs - 1, [a])).toEqual([open(firstEndsMs)])
    expect(await states(firstEndsMs, [a])).toEqual([probe(a, 1, firstEndsMs)])
  })

  it('are tried only by a call that has nothing better before them, one by each call', async () => {
    const { states, is, put, a, b, c } = await caller()
    await put(is(b, { u: String(START_MS - 1) }), is(c, { u: String(START_MS - 1) }))
    expect(await states(START_MS, [a, b, c])).toEqual([undefined, open(START_MS), open(START_MS)])
    expect(await states(START_MS, [b, c, a])).toEqual([probe(b, 1, START_MS), open(START_MS), undefined])
    await put(is(a, { c: String(START_MS + 5) }))
    expect(await states(START_MS, [a, c, b])).toEqual([
      { kind: 'cooling', untilMs: START_MS + 5 },
      probe(c, 1, START_MS),
      open(START_MS),
    ])
    // While it has no capacity there is nothing to try.
    await put(is(b, { c: String(START_MS + 5) }))
    expect(await states(START_MS, [b])).toEqual([{ kind: 'cooling', untilMs: START_MS + 5 }])
  })

  it('are tried by nobody who is refused, and only where limits of their provider leave room', async () => {
    const day = { ...requests(1, 0), id: 'b', subject: 'provider' as const, target: 'b', burst: undefined }
    const limit = { ...day, algorithm: 'fixed_window' as const, window: 'day' as const }
    const { run, name } = await callerOf(backend, [limit])
    const [a, b] = [`a/m${name}`, `b/m${name}`]
    await run(START_MS, { candidates: [b] })
    await backend.redis.pipeline([
      ['HSET', redisKeys.target(b), { u: '1' }],
      ['HSET', redisKeys.target(a), { u: '1' }],
    ])
    expect(await run(START_MS, { candidates: [b] })).toMatchObject({ kind: 'refused', limit: { id: 'b' } })
    expect(await run(START_MS, { candidates: [b, a] })).toMatchObject({
      states: [open(START_MS), probe(a, 1, START_MS)],
      usedUp: [{ limitId: 'b' }, undefined],
    })
    const [kept] = await backend.redis.pipeline([['HGETALL', redisKeys.target(b)]])
    expect(kept).toEqual({ u: '1' })
  })

  it('that are cooling take no charge of their provider’s limits', async () => {
    const shared = (target: string) => ({ ...requests(9, 9), id: target, subject: 'provider' as const, target })
    const { run, name } = await callerOf(backend, [shared('a'), shared('b')])
    const candidates = [`a/m${name}`, `b/m${name}`]
    await backend.redis.pipeline([['HSET', redisKeys.target(`a/m${name}`), { c: String(START_MS + 1) }]])
    expect(await run(START_MS, { candidates })).toMatchObject({ charged: [{ id: 'b' }] })
    expect(await run(START_MS + 1, { candidates })).toMatchObject({ charged: [{ id: 'a' }] })
  })

  it('bring what was measured of them, of the kind of task that is asked', async () => {
    const { run, put, a, b, c } = await caller()
    await put(
      ['HSET', redisKeys.figures(a), { f: '[1]', 'o:code': '70' }],
      ['HSET', redisKeys.figures(c), { f: '[2]' }],
    )
    const reply = await run(START_MS, { candidates: [a, b, c], figures: { taskType: 'code' } })
    expect(reply).toMatchObject({
      states: [undefined, undefined, undefined],
      figures: [
        { figures: '[1]', output: '70', inFlight: undefined },
        { figures: null, output: null },
        { figures: '[2]', output: null },
      ],
    })
    expect(await run(START_MS, { candidates: [a] })).toMatchObject({ figures: undefined })
  })

  it('add up the calls under way that isolates have told of in the last ten seconds', async () => {
    const { run, a, b } = await caller()
    const tell = async (nowMs: number, isolate: string, counts: number[]) => {
      const reply = await run(nowMs, { candidates: [a, b], busy: { isolate, counts } })
      return reply.kind === 'admitted' && reply.figures?.map(({ inFlight }) => inFlight)
    }
    expect(await tell(START_MS, 'one', [3, 0])).toEqual([3, 0])
    expect(await tell(START_MS + 1, 'two', [2, 1])).toEqual([5, 1])
    expect(await tell(START_MS + 2, 'one', [1, 0])).toEqual([3, 1])
    expect(await tell(START_MS + 10_000, 'three', [0, 0])).toEqual([3, 1])
    expect(await tell(START_MS + 10_001, 'three', [0, 0])).toEqual([1, 0])
    expect(await tell(START_MS + 10_002, 'three', [0, 4])).toEqual([0, 4])
  })

  it('come with everything else that a call asks, each in its place', async () => {
    const shared = { ...requests(60, 9), id: 'shared', subject: 'provider' as const, target: 'a' }
    const { run, name } = await callerOf(backend, [requests(60, 9), shared])
    const [a, b] = [`a/m${name}`, `b/m${name}`]
    await backend.redis.pipeline([
      ['HSET', redisKeys.target(b), { u: String(START_MS + 1) }],
      ['HSET', redisKeys.figures(b), { f: '[2]' }],
      ['HSET', `${name}:answer`, { s: 'now', v: 'sealed' }],
      ['SETPX', `${name}:signed`, 'v1', 60_000],
    ])
    await list(backend.redis, { index: `${name}:answers`, keys: [`${name}:answer`] })
    const ask = (held: string | undefined): Partial<Ask> => ({
      candidates: [a, b],
      figures: { taskType: 'chat' },
      busy: { isolate: 'one', counts: [1, 2] },
      turn: `${name}:turn`,
      cache: { key: `${name}:answer`, index: `${name}:answers`, held },
      vault: [`${name}:signed`],
    })
    const before = backend.proxy.requests()
    const expected = {
      kind: 'admitted',
      states: [undefined, open(START_MS + 1)],
      charged: [{ id: 'shared' }],
      figures: [
        { figures: null, inFlight: 1 },
        { figures: '[2]', inFlight: 2 },
      ],
      vault: ['v1'],
    }
    const first = await run(START_MS, ask('before'))
    expect(first).toMatchObject({ ...expected, turn: 1, cached: { stamp: 'now', value: 'sealed' } })
    const second = await run(START_MS, ask('now'))
    expect(second).toMatchObject({ ...expected, turn: 2, cached: { stamp: 'now', value: undefined } })
    // The first one also brought the script.
    expect(backend.proxy.requests() - before).toBeLessThanOrEqual(3)
  })

  it('may be fifty', async () => {
    const { run, name } = await caller()
    const candidates = Array.from({ length: 50 }, (_, at) => `many/${name}-${at}`)
    await backend.redis.pipeline([['HSET', redisKeys.target(candidates[49] ?? ''), { u: String(START_MS + 1) }]])
    const busy = { isolate: 'one', counts: candidates.map((_, at) => at) }
    const reply = await run(START_MS, { candidates, figures: { taskType: 'chat' }, busy, turn: `${name}:turn` })
    if (reply.kind !== 'admitted') throw new Error(`it was ${reply.kind}`)
    expect(reply.states.findIndex((state) => state !== undefined)).toBe(49)
    expect(reply.figures?.map(({ inFlight }) => inFlight)).toEqual(busy.counts)
  })

  it('give a place back to whoever comes next, and take nothing back that another one has', async () => {
    const { states, is, put, a } = await caller()
    await put(is(a, { u: '1' }))
    const [first] = await states(START_MS, [a])
    if (first?.kind !== 'probe') throw new Error('there is no place')
    const free = (nowMs: number) => noteTarget(backend.redis, a, { what: 'free', nowMs, probe: first, random: 0 })
    await free(START_MS + 1)
    expect(await states(START_MS + 2, [a])).toEqual([probe(a, 1, START_MS + 2)])
    await free(START_MS + 3)
    expect(await states(START_MS + 4, [a])).toEqual([probe(a, 2, START_MS + 4)])
  })
})

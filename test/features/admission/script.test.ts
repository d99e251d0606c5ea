import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Limit, Policy } from '../../../src/core/admission.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { admissionScript } from '../../../src/features/admission/script.ts'
import { scriptInput } from '../../../src/features/admission/script-call.ts'
import { limitKeys } from '../../../src/features/limits/service.ts'
import { REFUSED } from '../../../src/features/records/service.ts'
import { count } from '../../support/lane.ts'
import { budgetOf, holdOf } from '../ledger/calls.ts'
import { backends, type RedisBackend } from './backends.ts'
import { callerOf, fresh, list, MINUTE_MS, requests, START_MS, tokens } from './script-caller.ts'

describe.each(backends)('the admission script on $name', ({ start }) => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  const caller = (limits: Limit[], given?: Partial<Policy>) => callerOf(backend, limits, given)

  it('lets a burst through, then one request a step, and says truly when the next may come', async () => {
    const { run } = await caller([requests(6, 3)])
    for (const remaining of [2, 1, 0]) {
      expect(await run(START_MS)).toMatchObject({ kind: 'admitted', rates: [{ remaining }] })
    }
    const refused = await run(START_MS + 1000)
    expect(refused).toMatchObject({ kind: 'refused', retryMs: 9000 })
    expect(await run(START_MS + 9999)).toMatchObject({ kind: 'refused', retryMs: 1 })
    expect(await run(START_MS + 10_000)).toMatchObject({ kind: 'admitted' })
    expect(await run(START_MS + 10_000)).toMatchObject({ kind: 'refused', retryMs: 10_000 })
  })

  it('never lets more through than the burst and the rate allow, and never makes anyone wait in vain', async () => {
    const steps = fc.array(fc.integer({ min: 0, max: 15_000 }), { minLength: 5, maxLength: 25 })
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 5 }),
        steps,
        async (rate, burst, gaps) => {
          const { run } = await caller([requests(rate, burst)])
          const admitted: number[] = []
          let nowMs = START_MS
          for (const gap of gaps) {
            nowMs += gap
            const reply = await run(nowMs)
            if (reply.kind === 'admitted') admitted.push(nowMs)
            else if (reply.kind === 'refused') {
              nowMs += reply.retryMs
              expect((await run(nowMs)).kind).toBe('admitted')
              admitted.push(nowMs)
            }
          }
          for (const [first, from] of admitted.entries()) {
            for (let last = first; last < admitted.length; last++) {
              const allowed = burst + (((admitted[last] ?? 0) - from) * rate) / MINUTE_MS
              expect(last - first + 1).toBeLessThanOrEqual(allowed + 0.001)
            }
          }
        },
      ),
      { numRuns: count(7, 150), seed: 7, endOnFailure: true },
    )
  })

  it('slides the window of tokens over the minute, and says truly when the same request would pass', async () => {
    const step = fc.record({ gap: fc.integer({ min: 0, max: 40_000 }), size: fc.integer({ min: 1, max: 1000 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 20 }), async (steps) => {
        const { run } = await caller([tokens(1000)])
        const taken = new Map<number, number>()
        let nowMs = START_MS
        const used = () => {
          const minute = Math.floor(nowMs / MINUTE_MS)
          const share = (MINUTE_MS - (nowMs % MINUTE_MS)) / MINUTE_MS
          return (taken.get(minute) ?? 0) + (taken.get(minute - 1) ?? 0) * share
        }
        for (const { gap, size } of steps) {
          nowMs += gap
          let reply = await run(nowMs, { tokens: size })
          expect(reply.kind).toBe(used() + size > 1000 ? 'refused' : 'admitted')
          if (reply.kind === 'refused') {
            nowMs += reply.retryMs - 1
            expect(used() + size).toBeGreaterThan(1000)
            nowMs += 1
            reply = await run(nowMs, { tokens: size })
          }
          expect(reply).toMatchObject({ kind: 'admitted' })
          const minute = Math.floor(nowMs / MINUTE_MS)
          taken.set(minute, (taken.get(minute) ?? 0) + size)
        }
      }),
      { numRuns: count(7, 150), seed: 11, endOnFailure: true },
    )
  })

  it('charges nothing when any limit refuses', async () => {
    const { run, policy } = await caller([requests(6, 2), tokens(100)])
    expect(await run(START_MS, { tokens: 80 })).toMatchObject({ kind: 'admitted' })
    for (let at = 0; at < 5; at++) {
      expect(await run(START_MS, { tokens: 21 })).toMatchObject({ kind: 'refused', limit: { id: 'tokens' } })
    }
    expect(await run(START_MS, { tokens: 20 })).toMatchObject({
      kind: 'admitted',
      rates: [{ remaining: 0 }, { remaining: 0 }],
    })
    expect(await run(START_MS)).toMatchObject({ kind: 'refused', limit: { id: 'requests' } })
    const minute = Math.floor(START_MS / MINUTE_MS)
    const [taken] = await backend.redis.pipeline([['GET', limitKeys.window(policy.orgId, 'tokens', minute)]])
    expect(Number(taken)).toBe(100)
  })

  it('brings the breakers and the cached answer of an admitted request', async () => {
    const { run, name } = await caller([requests(60, 10)])
    await backend.redis.pipeline([
      ['HSET', redisKeys.target(`openai/b${name}`), { u: String(START_MS + 5) }],
      ['HSET', `answer-${name}`, { s: 'stamp', v: 'sealed' }],
    ])
    await list(backend.redis, { index: `answers-${name}`, keys: [`answer-${name}`] })
    const candidates = [`openai/a${name}`, `openai/b${name}`]
    const states = [undefined, { kind: 'open', untilMs: START_MS + 5 }]
    expect(await run(START_MS, { candidates })).toMatchObject({ states, cached: undefined })
    const cache = { key: `answer-${name}`, index: `answers-${name}`, held: undefined }
    const found = await run(START_MS, { candidates, cache })
    expect(found).toMatchObject({ states, cached: { stamp: 'stamp', value: 'sealed' } })
    expect(await run(START_MS, { candidates, cache: { ...cache, key: 'no-such-answer' } })).toMatchObject({
      states,
      cached: undefined,
    })
  })

  it('notes a call as open only when it holds and is admitted', async () => {
    const { run, policy } = await caller([requests(6, 1)])
    const openCalls = async () => (await backend.redis.pipeline([['HVALS', redisKeys.open(policy.orgId)]]))[0]
    const hold = holdOf('req_1', { budgets: [budgetOf(10)], amountNanoUsd: 5 })
    expect(await run(START_MS)).toMatchObject({ kind: 'admitted' })
    expect(await openCalls()).toEqual([])
    expect(await run(START_MS, {}, hold)).toMatchObject({ kind: 'refused' })
    expect(await openCalls()).toEqual([])
    expect(await run(START_MS + 20_000, {}, hold)).toMatchObject({ kind: 'admitted' })
    expect(await openCalls()).toEqual([JSON.stringify(hold)])
  })

  it('tells of a missing record, of a newer policy and of a refused key, and charges none of them', async () => {
    const { run, record, policy } = await caller([requests(6, 1)])
    const newer = { ...policy, version: 'v2' }
    await backend.redis.pipeline([['HSET', record, { v: 'v2', p: JSON.stringify(newer) }]])
    expect(await run(START_MS)).toEqual({
      kind: 'other_version',
      version: 'v2',
      policy: JSON.stringify(newer),
      atMs: String(START_MS),
    })
    await backend.redis.pipeline([['HSET', record, { v: REFUSED, p: '' }]])
    expect(await run(START_MS)).toMatchObject({ kind: 'other_version', version: REFUSED })
    await backend.redis.pipeline([['HDEL', record, ['v', 'p']]])
    expect(await run(START_MS)).toEqual({ kind: 'no_record' })
    await backend.redis.pipeline([['HSET', record, { v: 'v1', p: JSON.stringify(policy), ...fresh }]])
    expect(await run(START_MS)).toMatchObject({ kind: 'admitted' })
  })

  it('tells one caller that a record is due, admits the others, and tells another one after five seconds', async () => {
    const { run, record } = await caller([requests(6, 10)])
    await backend.redis.pipeline([['HSET', record, { due: String(START_MS + 1000) }]])
    expect(await run(START_MS + 999)).toMatchObject({ kind: 'admitted', atMs: String(START_MS) })
    expect(await run(START_MS + 1000)).toEqual({ kind: 'due', version: 'v1', atMs: String(START_MS) })
    expect(await run(START_MS + 1000)).toMatchObject({ kind: 'admitted', rates: [{ remaining: 8 }] })
    expect(await run(START_MS + 5999)).toMatchObject({ kind: 'admitted', rates: [{ remaining: 7 }] })
    expect(await run(START_MS + 6000)).toMatchObject({ kind: 'due' })
  })

  it('tells that a record of an earlier release, which has no times, is due', async () => {
    const { run, record } = await caller([])
    await backend.redis.pipeline([['HDEL', record, ['at', 'due']]])
    expect(await run(START_MS)).toEqual({ kind: 'due', version: 'v1', atMs: '' })
    expect(await run(START_MS)).toMatchObject({ kind: 'admitted', atMs: '' })
  })

  it('costs one request, and a second one only where Redis has not seen the script', async () => {
    const { redis, proxy } = backend
    const unseen = { text: `${admissionScript.text}\n-- ${Math.random()}` }
    const { record, policy } = await caller([])
    const { keys, args } = scriptInput({
      record,
      policy,
      ask: { tokens: 0, candidates: [] },
      hold: undefined,
      nowMs: 1,
    })
    const costs: number[] = []
    for (let at = 0; at < 3; at++) {
      const before = proxy.requests()
      expect(await redis.run(unseen, keys, args)).toEqual([3, String(START_MS)])
      costs.push(proxy.requests() - before)
    }
    expect(costs).toEqual([2, 1, 1])
  })
})

import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Limit } from '../../../src/core/admission.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { admissionScript } from '../../../src/features/admission/script.ts'
import { readReply, scriptInput } from '../../../src/features/admission/script-call.ts'
import { limitKeys } from '../../../src/features/limits/service.ts'
import { memoryRedis } from '../../support/gateway-redis.ts'
import { count } from '../../support/lane.ts'
import { backends, type RedisBackend } from './backends.ts'
import { callerOf, fresh, requests, START_MS, tokens } from './script-caller.ts'

const on = (target: string, limit: Limit, id = `${target} ${limit.metric}`): Limit => ({
  ...limit,
  id,
  subject: 'provider',
  target,
})
const DAY_START_MS = Math.ceil(START_MS / 86_400_000) * 86_400_000
const daily = (amount: number): Limit => ({
  ...requests(amount, 0),
  burst: undefined,
  algorithm: 'fixed_window',
  window: 'day',
})

describe.each(backends)('limits of providers in the admission script on $name', ({ start }) => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  const caller = (limits: Limit[]) => callerOf(backend, limits)
  const candidates = ['openai/gpt-4o', 'openrouter/openai/gpt-4o', 'groq/llama']

  it('charge the first target that has room, and take away those that have none', async () => {
    const hourly = { ...requests(1, 1), window: 3600 }
    const [first, second] = [on('openai', { ...hourly, amount: 2 }), on('openrouter', hourly)]
    const { run } = await caller([daily(600), first, second])
    expect(await run(START_MS, { candidates })).toMatchObject({
      kind: 'admitted',
      rates: [{ remaining: 599 }],
      charged: [{ id: first.id }],
      usedUp: [undefined, undefined, undefined],
    })
    expect(await run(START_MS, { candidates })).toMatchObject({
      charged: [{ id: second.id }],
      usedUp: [{ waitMs: 1_800_000, limitId: first.id }, undefined, undefined],
    })
    const third = await run(START_MS + 1, { candidates })
    expect(third).toMatchObject({
      rates: [{ remaining: 597 }],
      charged: [],
      usedUp: [{ waitMs: 1_799_999, limitId: first.id }, { waitMs: 3_599_999, limitId: second.id }, undefined],
    })
    expect(await run(START_MS + 1_800_000, { candidates })).toMatchObject({ charged: [{ id: first.id }] })
    // A call that no model is asked for is none of theirs.
    expect(await run(START_MS + 1_800_000)).toMatchObject({ kind: 'admitted', charged: [], usedUp: [] })
  })

  it('refuse when every target is used up, by the one that comes back first, and charge nobody', async () => {
    const slow = on('openai', { ...requests(1, 1), window: 7200 })
    const fast = on('groq', { ...requests(1, 1), window: 3600 })
    const { run } = await caller([daily(600), slow, fast])
    const two = ['openai/gpt-4o', 'groq/llama']
    await run(START_MS, { candidates: two })
    await run(START_MS, { candidates: two })
    for (let at = 0; at < 3; at++) {
      expect(await run(START_MS, { candidates: two })).toMatchObject({
        kind: 'refused',
        limit: { id: fast.id },
        retryMs: 3_600_000,
        remaining: 0,
      })
    }
    expect(await run(START_MS)).toMatchObject({ rates: [{ remaining: 597 }] })
    const alone = await run(START_MS, { candidates: ['openai/o3'] })
    expect(alone).toMatchObject({ kind: 'refused', limit: { id: slow.id }, retryMs: 7_200_000 })
  })

  it('are a provider’s and a model’s at once, and a dated name of the model has no others', async () => {
    const all = on('openai', daily(3))
    const model = on('openai/gpt-4o', daily(2))
    const { run } = await caller([all, model])
    expect(await run(START_MS, { candidates: ['openai/gpt-4o'] })).toMatchObject({ charged: [all, model] })
    expect(await run(START_MS, { candidates: ['openai/gpt-4o-2024-08-06'] })).toMatchObject({ charged: [all, model] })
    const refused = await run(START_MS, { candidates: ['openai/gpt-4o-2024-08-06'] })
    expect(refused).toMatchObject({ kind: 'refused', limit: { id: model.id } })
    expect(await run(START_MS, { candidates: ['openai/gpt-4o-mini'] })).toMatchObject({ charged: [all] })
    const over = await run(START_MS, { candidates: ['openai/gpt-4o-mini'] })
    expect(over).toMatchObject({ kind: 'refused', limit: { id: all.id } })
    expect(await run(START_MS, { candidates: ['openrouter/openai/gpt-4o'] })).toMatchObject({ charged: [] })
  })

  it('charge no target whose breaker is open', async () => {
    const { run, name } = await caller([on('a', daily(1)), on('b', daily(1))])
    const two = [`a/m${name}`, `b/m${name}`]
    await backend.redis.pipeline([['HSET', redisKeys.target(two[0] ?? ''), { u: String(START_MS + 5000) }]])
    expect(await run(START_MS, { candidates: two })).toMatchObject({
      charged: [{ target: 'b' }],
      usedUp: [undefined, undefined],
    })
    expect(await run(START_MS, { candidates: two })).toMatchObject({ kind: 'refused', limit: { target: 'b' } })
    await backend.redis.pipeline([['HSET', redisKeys.target(two[1] ?? ''), { u: String(START_MS + 5000) }]])
    // Nobody is left to be tried: that is for whoever makes the plan to say.
    expect(await run(START_MS, { candidates: two })).toMatchObject({ kind: 'admitted', charged: [] })
    expect(await run(START_MS + 5000, { candidates: two })).toMatchObject({ charged: [{ target: 'a' }] })
  })

  it('say that no wait helps only where a request is too large for every target', async () => {
    const [small, large] = [on('a', tokens(100)), on('b', tokens(1000))]
    const { run } = await caller([small, large])
    const two = { candidates: ['a/m', 'b/m'] }
    expect(await run(START_MS, { ...two, tokens: 500 })).toMatchObject({ charged: [{ id: large.id }] })
    const waits = await run(START_MS, { ...two, tokens: 600 })
    expect(waits).toMatchObject({ kind: 'refused', limit: { id: large.id } })
    const never = await run(START_MS, { ...two, tokens: 1001 })
    expect(never).toMatchObject({ kind: 'refused', retryMs: Number.MAX_SAFE_INTEGER })
  })

  it('that only monitor take nothing away, and count what they would have', async () => {
    const watched: Limit = { ...on('a', daily(1)), mode: 'monitor' }
    const { run, policy } = await caller([watched, on('b', daily(1))])
    const two = { candidates: ['a/m', 'b/m'] }
    expect(await run(START_MS, two)).toMatchObject({ charged: [{ id: watched.id }] })
    expect(await run(START_MS, two)).toMatchObject({ kind: 'admitted', charged: [], usedUp: [undefined, undefined] })
    expect(await run(START_MS, { candidates: ['b/m', 'a/m'] })).toMatchObject({ charged: [{ target: 'b' }] })
    const [shadow] = await backend.redis.pipeline([['HGETALL', limitKeys.shadow(policy.orgId, START_MS)]])
    expect(shadow).toEqual({ [watched.id]: '1' })
  })

  it(
    'never refuse while a target has room, and never let more through than they allow',
    async () => {
      const targets = ['a/m', 'a/n', 'b/m', 'c/m']
      const step = fc.record({
        candidates: fc.shuffledSubarray(targets, { minLength: 1 }),
        open: fc.subarray(targets),
        by: fc.constantFrom('u', 'c'),
      })
      const amounts = fc.record({
        a: fc.integer({ min: 1, max: 6 }),
        am: fc.integer({ min: 1, max: 6 }),
        b: fc.constant(2),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 15 }), amounts, async (steps, allowed) => {
          const limits = [on('a', daily(allowed.a)), on('a/m', daily(allowed.am)), on('b', daily(allowed.b))]
          const { policy, record } = await caller([...limits])
          const memory = memoryRedis(() => DAY_START_MS)
          const row = { v: 'v1', p: '', ...fresh, due: String(2 * DAY_START_MS) }
          await Promise.all([memory, backend.redis].map((redis) => redis.pipeline([['HSET', record, row]])))
          const left = new Map(limits.map(({ id, amount }) => [id, amount]))
          const limitsOf = (target: string) =>
            limits.filter((limit) => limit.target === target || limit.target === target.split('/')[0])
          for (const [at, { candidates: given, open, by }] of steps.entries()) {
            const names = given.map((target) => `${target}`)
            const closed = names.filter((target) => !open.includes(target))
            const expected = closed.find((target) => limitsOf(target).every(({ id }) => (left.get(id) ?? 0) > 0))
            const states = names.map((target) =>
              open.includes(target)
                ? (['HSET', redisKeys.target(target), { [by]: String(2 * DAY_START_MS) }] as const)
                : (['HDEL', redisKeys.target(target), ['u', 'c']] as const),
            )
            const ask = { tokens: 0, candidates: names }
            const { keys, args } = scriptInput({ record, policy, ask, hold: undefined, nowMs: DAY_START_MS + at })
            const [reply, mirrored] = await Promise.all(
              [backend.redis, memory].map(async (redis) => {
                await redis.pipeline(states)
                return readReply(await redis.run(admissionScript, keys, args), policy, ask)
              }),
            )
            // What stands in for Redis in other tests is this script, too.
            expect(mirrored).toEqual(reply)
            if (reply?.kind === 'refused') {
              expect(closed.length).toBeGreaterThan(0)
              expect(expected).toBeUndefined()
              expect(reply.limit.target).toBeDefined()
              continue
            }
            if (reply?.kind !== 'admitted') throw new Error(`answered ${reply?.kind}`)
            const charged = expected === undefined ? [] : limitsOf(expected)
            expect(reply.charged.map(({ id }) => id).sort()).toEqual(charged.map(({ id }) => id).sort())
            for (const { id } of charged) left.set(id, (left.get(id) ?? 0) - 1)
            expect(Math.min(...left.values())).toBeGreaterThanOrEqual(0)
          }
        }),
        { numRuns: count(5, 300), seed: 21, endOnFailure: true },
      )
    },
    count(30_000, 300_000),
  )
})

import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { breakerRules, coolingRules } from '../../../src/core/reliability.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { forgetTarget, noteTarget, type TargetNote } from '../../../src/features/admission/note-script.ts'
import { memoryRedis } from '../../support/gateway-redis.ts'
import { count } from '../../support/lane.ts'
import { backends, type RedisBackend } from './backends.ts'
import { START_MS } from './script-caller.ts'

let made = 0

describe.each(backends)('what is noted of a target on $name', ({ start }) => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  /** A target that nothing is known of. */
  function target() {
    made += 1
    const id = `a/noted-${made}`
    const note = (nowMs: number, what: TargetNote['what'], given: Partial<TargetNote> = {}) =>
      noteTarget(backend.redis, id, { what, nowMs, random: 0.5, ...given })
    /** Tries it, in a place of its own. */
    const probe = async (nowMs: number) => {
      const place = { slot: 1, untilMs: nowMs + breakerRules.probeMs }
      await backend.redis.pipeline([['HSET', redisKeys.target(id), { p1: String(place.untilMs) }]])
      return place
    }
    const fields = async () => (await backend.redis.pipeline([['HGETALL', redisKeys.target(id)]]))[0]
    return { id, note, probe, fields }
  }

  const bucketOf = (nowMs: number) => Math.floor(nowMs / breakerRules.bucketMs)
  const good = (nowMs: number, calls: number) => new Map([[bucketOf(nowMs), calls]])
  const closed = { moved: undefined, openUntilMs: 0, coolUntilMs: 0 }

  async function opened(nowMs = START_MS) {
    const one = target()
    for (let call = 1; call < breakerRules.failuresInRow; call += 1) {
      expect(await one.note(nowMs, 'fail')).toEqual(closed)
    }
    const openUntilMs = nowMs + breakerRules.openMs
    expect(await one.note(nowMs, 'fail')).toEqual({ moved: 'opened', openUntilMs, coolUntilMs: 0 })
    return { ...one, openUntilMs }
  }

  it('opens it at five failures in a row, whoever met them', async () => {
    await opened()
  })

  it('counts from the start again after what went well, however long ago', async () => {
    const { note } = target()
    for (let call = 0; call < 4; call += 1) await note(START_MS, 'fail')
    expect(await note(START_MS, 'fail', { good: new Map([[0, 1]]) })).toEqual(closed)
    for (let call = 0; call < 3; call += 1) expect(await note(START_MS, 'fail')).toEqual(closed)
    expect(await note(START_MS, 'fail')).toMatchObject({ moved: 'opened' })
  })

  it('opens it when half of at least twenty calls within a minute failed', async () => {
    const { note } = target()
    for (let call = 1; call < 10; call += 1) {
      expect(await note(START_MS + call * 5000, 'fail', { good: good(START_MS + call * 5000, 1) })).toEqual(closed)
    }
    const lastMs = START_MS + 50_000
    expect(await note(lastMs, 'fail', { good: good(lastMs, 1) })).toMatchObject({ moved: 'opened' })
  })

  it('leaves it closed while more than half of them go well, and forgets them after a minute', async () => {
    const { note } = target()
    for (let call = 0; call < 60; call += 1) {
      const nowMs = START_MS + call * 1000
      expect(await note(nowMs, 'fail', { good: good(nowMs, 2) })).toEqual(closed)
    }
    const laterMs = START_MS + 180_000
    for (let call = 0; call < 9; call += 1) {
      expect(await note(laterMs, 'fail', { good: good(laterMs, 1) })).toEqual(closed)
    }
    expect(await note(laterMs, 'fail', { good: good(laterMs, 1) })).toMatchObject({ moved: 'opened' })
  })

  it('goes by nobody but those who try it, while it is out', async () => {
    const { note, openUntilMs, fields } = await opened()
    const before = await fields()
    expect(await note(START_MS + 1, 'fail')).toMatchObject({ moved: undefined, openUntilMs })
    expect(await note(openUntilMs + 1, 'good', { probe: { slot: 1, untilMs: 1 } })).toMatchObject({ openUntilMs })
    expect(await note(openUntilMs + 1, 'fail', { good: good(openUntilMs, 90) })).toMatchObject({ openUntilMs })
    expect(await fields()).toEqual(before)
  })

  it('closes it after two that went well, as if nothing had been', async () => {
    const { note, probe, openUntilMs, fields } = await opened()
    expect(await note(openUntilMs, 'good', { probe: await probe(openUntilMs) })).toMatchObject({ openUntilMs })
    const second = await note(openUntilMs, 'good', { probe: await probe(openUntilMs) })
    expect(second).toEqual({ ...closed, moved: 'closed' })
    expect(await fields()).toBeNull()
  })

  it('leaves it alone for twice as long each time that a call which tries it fails, for a minute at most', async () => {
    const { note, probe, openUntilMs } = await opened()
    let nowMs = openUntilMs
    for (const openMs of [20_000, 40_000, 60_000, 60_000]) {
      const place = await probe(nowMs)
      expect(await note(nowMs, 'good', { probe: place })).toMatchObject({ moved: undefined })
      const failed = await note(nowMs, 'fail', { probe: await probe(nowMs) })
      expect(failed).toMatchObject({ moved: 'opened', openUntilMs: nowMs + openMs })
      nowMs += openMs
    }
    await note(nowMs, 'good', { probe: await probe(nowMs) })
    expect(await note(nowMs, 'good', { probe: await probe(nowMs) })).toMatchObject({ moved: 'closed' })
  })

  it('lists the breakers of the installation that have moved, and nobody’s own', async () => {
    const listed = async (id: string) => {
      const [all] = await backend.redis.pipeline([['HGETALL', redisKeys.breakers()]])
      return all !== null && typeof all === 'object'
        ? Object.entries(all).find(([name]) => name === id)?.[1]
        : undefined
    }
    const { id, note, probe, openUntilMs } = await opened()
    expect(await listed(id)).toBe(String(openUntilMs))
    for (let good = 0; good < 2; good += 1) await note(openUntilMs, 'good', { probe: await probe(openUntilMs) })
    expect(await listed(id)).toBe('0')
    for (let call = 0; call < 5; call += 1) {
      await noteTarget(backend.redis, `prv_1/${id}`, { what: 'fail', nowMs: START_MS, random: 0 })
    }
    expect(await listed(`prv_1/${id}`)).toBeUndefined()
  })

  it('stands open no more once it is forgotten, which lists no name that nobody has called', async () => {
    const breakers = async () =>
      new Map(Object.entries(Object((await backend.redis.pipeline([['HGETALL', redisKeys.breakers()]]))[0])))
    const { id, fields } = await opened()
    await forgetTarget(backend.redis, id)
    expect([await fields(), (await breakers()).get(id)]).toEqual([null, '0'])
    for (const other of [`prv_1/${id}`, `${id}-that-nobody-has`]) {
      await forgetTarget(backend.redis, other)
      expect((await breakers()).has(other)).toBe(false)
    }
  })

  it('cools it exactly as long as it said, and never for less than it said before', async () => {
    const { note } = target()
    expect(await note(START_MS, 'cool', { untilMs: START_MS + 7001 })).toEqual({
      ...closed,
      coolUntilMs: START_MS + 7001,
    })
    expect(await note(START_MS, 'cool', { untilMs: START_MS + 5 })).toMatchObject({ coolUntilMs: START_MS + 7001 })
    expect(await note(START_MS, 'cool')).toMatchObject({ coolUntilMs: START_MS + 7001 })
    expect(await note(START_MS + 7001, 'free')).toEqual(closed)
  })

  it('cools it for twice as long each time that it does not say, up to half a minute, until something went well', async () => {
    const { note } = target()
    let nowMs = START_MS
    for (const ms of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
      const { coolUntilMs } = await note(nowMs, 'cool')
      expect(coolUntilMs).toBe(nowMs + ms)
      // Those who were under way already are not another refusal.
      expect((await note(nowMs, 'cool')).coolUntilMs).toBe(coolUntilMs)
      nowMs = coolUntilMs
    }
    for (const random of [0, 0.999]) {
      const { coolUntilMs } = await note(nowMs, 'cool', { random, good: good(nowMs, 1) })
      const jitter = Math.abs(coolUntilMs - nowMs - coolingRules.firstMs) / coolingRules.firstMs
      expect(jitter).toBeCloseTo(coolingRules.jitter, 2)
      nowMs = coolUntilMs
    }
  })

  it('is what stands in for it in other tests, too', async () => {
    const step = fc.record({
      gapMs: fc.oneof(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 0, max: 70_000 })),
      what: fc.constantFrom<TargetNote['what']>('fail', 'fail', 'fail', 'good', 'cool', 'free'),
      goods: fc.array(fc.tuple(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 1, max: 9 })), { maxLength: 2 }),
      place: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
      isTaken: fc.boolean(),
      waitMs: fc.option(fc.integer({ min: 1, max: 40_000 }), { nil: undefined }),
      random: fc.double({ min: 0, max: 0.999, noNaN: true }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        const { id } = target()
        let nowMs = START_MS
        const memory = memoryRedis(() => nowMs)
        for (const { gapMs, what, goods, place, isTaken, waitMs, random } of steps) {
          nowMs += gapMs
          const probe = place === undefined ? undefined : { slot: place, untilMs: nowMs + breakerRules.probeMs }
          const note: TargetNote = {
            what,
            nowMs,
            random,
            probe,
            good: new Map(goods.map(([ago, calls]) => [bucketOf(nowMs) - ago, calls])),
            untilMs: waitMs === undefined ? undefined : nowMs + waitMs,
          }
          const replies = await Promise.all(
            [backend.redis, memory].map(async (redis) => {
              const key = redisKeys.target(id)
              const take = isTaken && probe ? { [`p${place}`]: String(probe.untilMs) } : { x: '' }
              await redis.pipeline([['HSET', key, take]])
              const reply = await noteTarget(redis, id, note)
              return { reply, kept: (await redis.pipeline([['HGETALL', key]]))[0] }
            }),
          )
          expect(replies[1]).toEqual(replies[0])
        }
      }),
      { numRuns: count(7, 300), seed: 31, endOnFailure: true },
    )
  })
})

import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  BUCKET_RATIO,
  bucketOf,
  FADE_FAILURES_MS,
  FADE_MS,
  type Measured,
  middleOf,
  readFigures,
} from '../../../src/core/figures.ts'
import { newId } from '../../../src/core/ids.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { figuresCommand } from '../../../src/features/ledger/figures.ts'
import { count } from '../../support/lane.ts'
import { backends, type RedisBackend } from '../admission/backends.ts'

const START_MS = 1_800_000_000_000

describe('a bucket', () => {
  it('stands for values that are within a tenth of its middle', () => {
    fc.assert(
      fc.property(fc.double({ min: 1, max: 50_000_000, noNaN: true }), (value) => {
        const ratio = value / middleOf(bucketOf(value))
        expect(Math.max(ratio, 1 / ratio)).toBeLessThanOrEqual(Math.sqrt(BUCKET_RATIO) + 1e-9)
      }),
    )
  })

  it('takes what is less than one, and what is beyond all measure', () => {
    expect([bucketOf(0), bucketOf(-5), bucketOf(Number.MAX_VALUE)]).toEqual([0, 0, 100])
  })
})

describe('figures that were kept', () => {
  it.each(['', 'nonsense', '{}', '[1,2]', '["a",1,1,1,1,1,1,1]', '[1e999,1,1,1,1,1,1,1]'])(
    'are unknown when they are %j',
    (text) => {
      expect(readFigures(text, null, START_MS)).toBeUndefined()
    },
  )
})

describe.each(backends)('what calls told of a target, on $name', ({ start }) => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  /** A target nobody else tells of. */
  const target = () => {
    const id = `openai/${newId('t', START_MS)}`
    return {
      id,
      tell: async (calls: readonly Omit<Measured, 'id'>[], nowMs = START_MS) => {
        const command = figuresCommand(
          calls.map((call) => ({ id, ...call })),
          nowMs,
        )
        if (command) await backend.redis.pipeline([command])
      },
      read: async (nowMs = START_MS, task = 'text_generation') => {
        const [fields] = await backend.redis.pipeline([['HGETALL', redisKeys.figures(id)]])
        const kept = new Map(Object.entries(Object(fields)))
        const output = kept.get(`o:${task}`)
        return readFigures(String(kept.get('f')), output === undefined ? null : String(output), nowMs)
      },
    }
  }

  it('gives medians, the tail, the pace and the output to expect', async () => {
    const { tell, read } = target()
    const calls = Array.from({ length: 100 }, (_, at) => ({
      ok: true,
      latencyMs: at < 90 ? 1000 : 9000,
      ttftMs: 200,
      outputTokens: at < 70 ? 100 : 400,
      taskType: 'text_generation',
    }))
    await tell(calls)
    const figures = await read()
    expect(figures?.calls).toBe(100)
    expect(figures?.errorRate).toBe(0)
    for (const [found, wanted] of [
      [figures?.latencyMs, 1000],
      [figures?.latencyP95Ms, 9000],
      [figures?.ttftMs, 200],
      [figures?.outputTokens, 400],
    ] as const) {
      expect(found).toBeGreaterThan(wanted / 1.1)
      expect(found).toBeLessThan(wanted * 1.1)
    }
    expect(figures?.tokensPerSecond).toBeCloseTo(19_000 / ((90 * 800 + 10 * 8800) / 1000), 1)
    expect((await read(START_MS, 'code_generation'))?.outputTokens).toBeUndefined()
  })

  it('adds to what was told before, which counts half as much a day later', async () => {
    const { tell, read } = target()
    await tell(Array.from({ length: 10 }, () => ({ ok: true, latencyMs: 1000 })))
    await tell(
      Array.from({ length: 6 }, () => ({ ok: true, latencyMs: 100 })),
      START_MS + FADE_MS,
    )
    const figures = await read(START_MS + FADE_MS)
    expect(figures?.calls).toBeCloseTo(11, 3)
    expect(figures?.latencyMs).toBeLessThan(150)
    expect((await read(START_MS + 3 * FADE_MS))?.calls).toBeCloseTo(11 / 4, 2)
  })

  it('forgets failures within minutes, and takes one or two for no rate', async () => {
    const { tell, read } = target()
    await tell([{ ok: false }])
    expect((await read())?.errorRate).toBeCloseTo(1 / 3, 5)
    await tell(Array.from({ length: 97 }, (_, at) => ({ ok: at >= 49 })))
    expect((await read())?.errorRate).toBeCloseTo(0.5, 5)
    const later = (await read(START_MS + 5 * FADE_FAILURES_MS))?.errorRate
    expect(later).toBeGreaterThan(0.25)
    expect((await read(START_MS + 20 * FADE_FAILURES_MS))?.errorRate).toBeLessThan(0.001)
  })

  it('says the same of many targets at once as of each alone', async () => {
    const [one, other] = [target(), target()]
    const calls = [
      { id: one.id, ok: true, latencyMs: 50, outputTokens: 10, taskType: 'a' },
      { id: other.id, ok: false },
      { id: one.id, ok: true, latencyMs: 500, outputTokens: 20, taskType: 'b' },
    ]
    const command = figuresCommand(calls, START_MS)
    if (command) await backend.redis.pipeline([command])
    expect((await one.read(START_MS, 'b'))?.outputTokens).toBeGreaterThan(17)
    expect(await one.read()).toMatchObject({ calls: 2, errorRate: 0 })
    expect(await other.read()).toMatchObject({ calls: 1, latencyMs: undefined })
  })

  it('never leaves anything that cannot be read, whatever was told', async () => {
    const call = fc.record({
      ok: fc.boolean(),
      latencyMs: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true }), { nil: undefined }),
      ttftMs: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true }), { nil: undefined }),
      outputTokens: fc.option(fc.nat(2_000_000), { nil: undefined }),
      taskType: fc.option(fc.constantFrom('text_generation', 'code_generation'), { nil: undefined }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.array(call, { minLength: 1 }), fc.nat(10 * FADE_MS)), { minLength: 1, maxLength: 6 }),
        async (rounds) => {
          const { tell, read } = target()
          let nowMs = START_MS
          for (const [calls, gapMs] of rounds) {
            nowMs += gapMs
            await tell(calls, nowMs)
            const figures = await read(nowMs)
            expect(figures?.calls).toBeGreaterThanOrEqual(calls.length * 0.999)
            expect(figures?.errorRate).toBeGreaterThanOrEqual(0)
            expect(figures?.errorRate).toBeLessThan(1)
          }
        },
      ),
      { numRuns: count(25, 500) },
    )
  })
})

it('is nothing to write when nothing was told', () => {
  expect(figuresCommand([], START_MS)).toBeUndefined()
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import { plan } from '../../../src/features/routing/named.ts'
import { longestMs, timeoutsFor } from '../../../src/features/routing/patience.ts'
import { arrange } from '../../../src/features/routing/plan.ts'
import { node, target, timeouts } from './world.ts'

const ids = (result: ReturnType<typeof plan>) => result.targets.map(({ target: one }) => one.id)
const nowMs = 1_000_000

describe('a plan', () => {
  it("keeps the caller's order and says why each is where it is", () => {
    const targets = [target('openai/gpt-4o'), target('openrouter/openai/gpt-4o')]
    expect(plan({ targets, openBreakers: new Map(), model: 'gpt-4o', nowMs })).toMatchObject({
      strategy: 'explicit',
      targets: [
        { target: targets[0], reason: 'explicit_choice' },
        { target: targets[1], reason: 'fallback' },
      ],
      excluded: [],
    })
  })

  it('calls a fallback one where what was asked for is out', () => {
    const targets = [target('openai/gpt-4o'), target('qwen/qwen-plus'), target('groq/llama')]
    const openBreakers = new Map([['openai/gpt-4o', nowMs + 5000]])
    const made = plan({ targets, asked: 1, openBreakers, model: 'gpt-4o', nowMs })
    expect(made.targets.map(({ reason }) => reason)).toEqual(['fallback', 'fallback'])
    const { tried, excluded, propensity } = arrange(made.inputs ?? { strategy: 'explicit', options: [], most: 0 })
    expect(tried).toEqual(made.targets.map(({ target: { id }, reason }) => ({ id, reason })))
    expect([excluded, propensity]).toEqual([made.excluded, made.propensity])
  })

  it('of auto takes the first whose breaker is closed', () => {
    const targets = [target('openai/gpt-4o'), target('deepseek/deepseek-chat')]
    const openBreakers = new Map([['openai/gpt-4o', nowMs + 5000]])
    for (const model of ['auto', 'auto:cost']) {
      const made = plan({ targets, openBreakers, model, nowMs })
      expect([made.strategy, ids(made), made.excluded]).toEqual([
        'first',
        ['deepseek/deepseek-chat'],
        [{ id: 'openai/gpt-4o', reason: 'breaker_open' }],
      ])
    }
  })

  it('without a closed breaker is 503 with the time of the first to be tried again', () => {
    const targets = [target('openai/gpt-4o'), target('openrouter/openai/gpt-4o')]
    const openBreakers = new Map([
      ['openai/gpt-4o', nowMs + 9001],
      ['openrouter/openai/gpt-4o', nowMs + 3001],
      ['somebody/else', nowMs + 10],
    ])
    const refused = (breakers: ReadonlyMap<string, number>, at: number) => {
      try {
        return plan({ targets, openBreakers: breakers, model: 'gpt-4o', nowMs: at })
      } catch (error) {
        return error
      }
    }
    expect(refused(openBreakers, nowMs)).toBeInstanceOf(AppError)
    expect(refused(openBreakers, nowMs)).toMatchObject({ code: 'model_overloaded', retryAfterSeconds: 4 })
    expect(refused(openBreakers, nowMs + 3001)).toMatchObject({ retryAfterSeconds: 1 })
  })

  it('leaves out targets whose limits are used up, and is 429 with the first to have room where no other is left', () => {
    const targets = [target('openai/gpt-4o'), target('groq/llama'), target('openrouter/openai/gpt-4o')]
    const usedUp = new Map([
      ['openai/gpt-4o', { limitId: 'lim_1', untilMs: nowMs + 9000 }],
      ['groq/llama', { limitId: 'lim_2', untilMs: nowMs + 2500 }],
      ['somebody/else', { limitId: 'lim_3', untilMs: nowMs + 1 }],
    ])
    const made = plan({ targets, openBreakers: new Map(), usedUp, model: 'gpt-4o', nowMs })
    expect(ids(made)).toEqual(['openrouter/openai/gpt-4o'])
    expect(made.targets[0]?.reason).toBe('explicit_choice')
    expect(made.excluded).toEqual([
      { id: 'openai/gpt-4o', reason: 'limit_reached' },
      { id: 'groq/llama', reason: 'limit_reached' },
    ])
    const openBreakers = new Map([['openrouter/openai/gpt-4o', nowMs + 100]])
    expect(() => plan({ targets, openBreakers, usedUp, model: 'gpt-4o', nowMs })).toThrow(
      expect.objectContaining({
        code: 'rate_limit_exceeded',
        retryAfterSeconds: 3,
        details: { limit_id: 'lim_2' },
      }),
    )
  })

  it('is pure: it changes nothing, and every target is in it or excluded from it', () => {
    const pool = ['a/1', 'b/2', 'c/3', 'd/4', 'e/5', 'f/6'].map((id) => Object.freeze(target(id)))
    fc.assert(
      fc.property(fc.shuffledSubarray(pool, { minLength: 1 }), fc.subarray(pool), (targets, open) => {
        const closed = targets.filter((one) => !open.includes(one))
        fc.pre(closed.length > 0)
        const openBreakers = new Map(open.map(({ id }) => [id, nowMs + 1]))
        const input = Object.freeze({ targets: Object.freeze(targets), openBreakers, model: 'm', nowMs })
        const made = plan(input)
        expect(plan(input)).toEqual(made)
        expect(ids(made)).toEqual(closed.map(({ id }) => id))
        expect(made.excluded.map(({ id }) => id)).toEqual(
          targets.filter((one) => open.includes(one)).map(({ id }) => id),
        )
      }),
    )
  })
})

describe('the time of a call', () => {
  const vendor = target('openai/gpt-4o')
  const own = target('ollama/llama3.2:3b', node('ollama'))

  it("is the target's own when the caller sets none", () => {
    expect(timeoutsFor(vendor, { startedMs: nowMs }, nowMs)).toEqual(timeouts)
  })

  it("bounds every wait by what is left of the caller's", () => {
    const patience = { startedMs: nowMs, timeoutMs: 20_000 }
    expect(timeoutsFor(vendor, patience, nowMs + 5000)).toEqual({
      connectMs: 10_000,
      firstByteMs: 15_000,
      idleMs: 15_000,
      totalMs: 15_000,
    })
    expect(timeoutsFor(vendor, patience, nowMs + 30_000).totalMs).toBe(1)
  })

  it('is not made longer by a retry or by the caller', () => {
    expect(timeoutsFor(own, { startedMs: nowMs }, nowMs + 100_000).totalMs).toBe(200_000)
    expect(timeoutsFor(own, { startedMs: nowMs, timeoutMs: 600_000 }, nowMs).totalMs).toBe(300_000)
  })

  it('is at most that of the slowest target', () => {
    expect(longestMs([own, vendor], undefined)).toBe(600_000)
    expect(longestMs([own], undefined)).toBe(300_000)
    expect(longestMs([own, vendor], 5000)).toBe(5000)
  })
})

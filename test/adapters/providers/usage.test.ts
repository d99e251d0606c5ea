import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { normalUsage } from '../../../src/adapters/providers/usage.ts'
import { countsOf, MOST_TOKENS } from '../../../src/core/usage.ts'
import { costNanoUsd, modelOf } from '../../../src/features/catalog/service.ts'
import { count as runs } from '../../support/lane.ts'

describe('a vendor’s usage', () => {
  it('stays the same object when it is in order', () => {
    const usage = {
      prompt_tokens: 3,
      completion_tokens: 2,
      total_tokens: 5,
      prompt_tokens_details: { cached_tokens: 1 },
    }
    expect(normalUsage(usage)).toBe(usage)
    expect(countsOf(usage)).toEqual({ prompt: 3, cached: 1, cacheWrite: 0, completion: 2, reasoning: 0 })
  })

  it('is none when nothing was counted', () => {
    for (const raw of [undefined, null, 'x', {}, { prompt_tokens: -1 }, { prompt_tokens: Number.NaN }]) {
      expect(normalUsage(raw)).toBeUndefined()
    }
  })

  it('gets the total and the side that are missing', () => {
    expect(normalUsage({ prompt_tokens: 7 })).toMatchObject({ completion_tokens: 0, total_tokens: 7 })
    expect(normalUsage({ completion_tokens: 7 })).toMatchObject({ prompt_tokens: 0, total_tokens: 7 })
  })

  it('includes reasoning that the vendor counts beside the completion', () => {
    const details = { completion_tokens_details: { reasoning_tokens: 100 } }
    const outside = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 115, ...details }
    expect(normalUsage(outside)).toMatchObject({ completion_tokens: 105 })
    const inside = { prompt_tokens: 10, completion_tokens: 105, total_tokens: 115, ...details }
    expect(normalUsage(inside)).toBe(inside)
  })

  it('never counts below zero, no part above its whole, and never charges without end', () => {
    const odd = [
      null,
      undefined,
      'x',
      '12',
      '',
      true,
      [],
      {},
      { tokens: 5 },
      Number.NaN,
      -1,
      -0,
      0.5,
      1e9,
      1e308,
      -1e308,
    ]
    const count = fc.oneof(
      fc.integer({ min: -5, max: 50 }),
      fc.constantFrom<unknown>(...odd, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER),
    )
    const price = modelOf('openai', 'gpt-4o')?.price
    if (!price) throw new Error('no price')
    // The dearest call that can be: every count at its most, each at the dearest price of its kind.
    const most = costNanoUsd(price, {
      prompt: MOST_TOKENS,
      cached: 0,
      cacheWrite: 0,
      completion: 2 * MOST_TOKENS,
      reasoning: 0,
    })
    const raw = fc.record({
      prompt_tokens: count,
      completion_tokens: count,
      total_tokens: count,
      prompt_cache_hit_tokens: count,
      prompt_tokens_details: fc.oneof(count, fc.record({ cached_tokens: count, cache_write_tokens: count })),
      completion_tokens_details: fc.oneof(count, fc.record({ reasoning_tokens: count })),
    })
    fc.assert(
      fc.property(raw, (given) => {
        const usage = normalUsage(given)
        if (usage === undefined) return
        const { prompt, cached, cacheWrite, completion, reasoning } = countsOf(usage)
        expect(Math.min(prompt, cached, cacheWrite, completion, reasoning)).toBeGreaterThanOrEqual(0)
        expect(cached + cacheWrite).toBeLessThanOrEqual(prompt)
        expect(reasoning).toBeLessThanOrEqual(completion)
        const cost = costNanoUsd(price, { prompt, cached, cacheWrite, completion, reasoning })
        expect(Number.isSafeInteger(cost) && cost >= 0 && cost <= most).toBe(true)
      }),
      { numRuns: runs(2000, 1_000_000), seed: 20_260_131, endOnFailure: true },
    )
  }, 600_000)
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nanoFromUsd } from '../../../src/core/money.ts'
import { figuresOf, modelFacts, withPriceId } from '../../../src/features/providers/prices.ts'
import type { OwnModel } from '../../../src/features/providers/table.ts'
import { count } from '../../support/lane.ts'

const usd = fc.integer({ min: 0, max: 10_000_000 }).map((thousandths) => thousandths / 1000)
const chat = (given: Partial<OwnModel> = {}): OwnModel => ({ name: 'a-model', kind: 'chat', ...given })

describe('the price of a model', () => {
  it.each([
    [{}, undefined],
    [{ input_usd: 1 }, undefined],
    [{ output_usd: 1 }, undefined],
    [{ input_usd: 1, output_usd: 2 }, [1e9, 1e9, 1e9, 2e9]],
    [{ input_usd: 1, cached_input_usd: 0.1, cache_write_usd: 1.25, output_usd: 2 }, [1e9, 1e8, 1.25e9, 2e9]],
    [{ kind: 'embedding' as const, input_usd: 0.02 }, [2e7, 2e7, 2e7, 0]],
    [{ input_usd: 0, output_usd: 0 }, [0, 0, 0, 0]],
  ])('of %j is %j', (given, expected) => {
    const figures = figuresOf(chat(given))
    expect(figures && [figures.input, figures.cachedInput, figures.cacheWrite, figures.output]).toEqual(expected)
  })

  it('has an id of its provider and name that changes when a figure does, and with nothing else', async () => {
    const model = chat({ input_usd: 1, output_usd: 2 })
    const idOf = async (given: OwnModel, provider = 'prv_1') => (await withPriceId(provider, given)).price_id
    const id = await idOf(model)
    expect(id).toMatch(/^prv_1\/a-model@[0-9a-f]{16}$/)
    expect(await idOf({ ...model, price_id: 'prv_9/other@0' })).toBe(id)
    expect(await idOf({ ...model, context_window: 7, capabilities: ['tools'] })).toBe(id)
    expect(await idOf({ ...model, cached_input_usd: 1 })).toBe(id)
    for (const other of [{ input_usd: 3 }, { output_usd: 3 }, { cached_input_usd: 0 }, { cache_write_usd: 9 }]) {
      expect(await idOf({ ...model, ...other })).not.toBe(id)
    }
    expect(await idOf(model, 'prv_2')).not.toBe(id)
    expect(await idOf(chat({ price_id: 'prv_1/a-model@0' }))).toBeUndefined()
  })

  it('is exactly what was said, in nano-USD', async () => {
    await fc.assert(
      fc.asyncProperty(usd, usd, async (input, output) => {
        const facts = modelFacts(await withPriceId('prv_1', chat({ input_usd: input, output_usd: output })))
        expect(facts.price?.base).toMatchObject({ input: nanoFromUsd(input), output: nanoFromUsd(output) })
      }),
      { numRuns: count(50, 1000) },
    )
  })
})

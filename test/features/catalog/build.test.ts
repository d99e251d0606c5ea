import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { calcPrice, findProvider } from '@pydantic/genai-prices'
import { buildSync } from 'esbuild'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileCatalog } from '../../../scripts/catalog/build.ts'
import { DroppedModel, encodeFigures, figuresOf, implausibilities } from '../../../scripts/catalog/figures.ts'
import { pricesOn, type ScheduledPrices } from '../../../scripts/catalog/schedule.ts'
import { vendorCatalog } from '../../../src/core/vendors.ts'
import { priceRows } from '../../../src/features/catalog/price-rows.ts'
import { type CatalogModel, costNanoUsd, modelsOf, pricesAsOf } from '../../../src/features/catalog/service.ts'

const root = join(import.meta.dirname, '../../..')
const generated = join(root, 'src/features/catalog/data.gen.ts')

describe('the generated catalog', () => {
  it('is what the installed data and the overrides compile to', () => {
    expect(readFileSync(generated, 'utf8') === compileCatalog().text).toBe(true)
    execFileSync(process.execPath, ['--no-warnings', 'scripts/catalog/build.ts', '--check'], { cwd: root })
  })

  it('bundles without the price package and the overrides into at most 25 kB gzipped', () => {
    const { outputFiles } = buildSync({
      entryPoints: [join(root, 'src/features/catalog/service.ts')],
      bundle: true,
      minify: true,
      format: 'esm',
      write: false,
    })
    const [bundle] = outputFiles
    if (!bundle) throw new Error('nothing was bundled')
    expect(gzipSync(bundle.contents).length).toBeLessThan(25_000)
    expect(bundle.text).not.toMatch(/genai-prices|https:/)
  })

  it('says for every price kept by hand where it comes from', () => {
    for (const row of priceRows) expect(row.source, row.name).toMatch(/^https:\/\//)
  })

  it('leaves out what has no price in text tokens, with the reason', () => {
    const remarks = compileCatalog().tables.flatMap((table) => table.remarks)
    expect(remarks).toContain('whisper-1: dropped, billed by audio_hours')
    expect(remarks).toContain('gpt-image-1: dropped, not text in, text out')
    expect(remarks).toContain('google/gemini-flash-1.5-8b-exp: dropped, a price of zero, and not listed as free')
  })
})

describe('agreement with the price package', () => {
  const providers = vendorCatalog.flatMap(({ name, priceData }) =>
    priceData === undefined ? [] : [[name, priceData] as const],
  )
  // Within the dear hours of every vendor that has any, which is what the catalog books.
  const timestamp = new Date(`${pricesAsOf}T02:00:00Z`)
  /** What is not the package's: prices kept by hand, and those that wait for an approval. */
  const byHand = new Set([
    ...priceRows.map((row) => `${row.vendor}/${row.name}`),
    ...compileCatalog().changes.map(({ vendor, model }) => `${vendor}/${model}`),
  ])
  const models = providers.flatMap(([vendor, providerId]) =>
    modelsOf(vendor)
      .filter((model) => !byHand.has(`${vendor}/${model.name}`))
      .map((model) => ({ model, providerId })),
  )
  const tokens = fc.oneof(fc.constant(0), fc.nat({ max: 3_000 }), fc.nat({ max: 400_000 }))
  const usage = fc
    .record({
      uncached: tokens,
      cached: tokens,
      cacheWrite: tokens,
      completion: tokens,
      hourShare: fc.nat({ max: 100 }),
    })
    .map(({ hourShare, ...counts }) => ({
      ...counts,
      cacheWriteHour: Math.floor((counts.cacheWrite * hourShare) / 100),
    }))

  function difference(
    entry: (typeof models)[number],
    counts: { uncached: number; cached: number; cacheWrite: number; cacheWriteHour?: number; completion: number },
  ) {
    const { model, providerId } = entry
    // Storage fees that the package lists in place of a write price are below the input price; we charge that.
    const cacheWrite = listsWritesBelowInput(model, providerId) ? 0 : counts.cacheWrite
    const cacheWriteHour = Math.min(cacheWrite, counts.cacheWriteHour ?? 0)
    const prompt = counts.uncached + counts.cached + cacheWrite
    const theirs = calcPrice(
      {
        input_tokens: prompt,
        cache_read_tokens: counts.cached,
        cache_write_tokens: cacheWrite,
        cache_write_1h_tokens: cacheWriteHour,
        output_tokens: counts.completion,
      },
      model.name,
      { providerId, timestamp },
    )
    if (!theirs || !model.price) return undefined
    const ours = costNanoUsd(model.price, { ...counts, cacheWrite, cacheWriteHour, prompt, reasoning: 0 })
    return ours - theirs.total_price * 1e9
  }

  function listsWritesBelowInput(model: CatalogModel, providerId: string): boolean {
    const id = findProvider({ providerId })?.models.find((each) => each.id === model.name)
    const write = id && !Array.isArray(id.prices) ? id.prices.cache_write_mtok : undefined
    return typeof write === 'number' && write * 1e9 < (model.price?.base.input ?? 0)
  }

  it('knows every model of the catalog but a few under their vendor name', () => {
    const unknown = models.filter(
      (entry) => difference(entry, { uncached: 1, cached: 0, cacheWrite: 0, completion: 0 }) === undefined,
    )
    expect(unknown.map(({ model }) => model.name)).toEqual(['ministral-3b-latest'])
  })

  it('charges what the package does, rounded up to a whole nano-USD', () => {
    fc.assert(
      fc.property(fc.constantFrom(...models), usage, (entry, counts) => {
        const over = difference(entry, counts) ?? 0
        expect(over, entry.model.name).toBeGreaterThan(-0.01)
        expect(over, entry.model.name).toBeLessThan(1.01)
      }),
      { numRuns: 5_000 },
    )
  })

  it('agrees for every model at least once, below and above every tier', () => {
    for (const entry of models) {
      for (const uncached of [1_000, 127_999, 128_001, 200_001, 272_001]) {
        const over = difference(entry, { uncached, cached: 7, cacheWrite: 3, cacheWriteHour: 2, completion: 11 }) ?? 0
        expect(Math.abs(over - 0.5), entry.model.name).toBeLessThan(0.51)
      }
    }
  })
})

describe('price schedules', () => {
  const list = (input: number, output: number): ScheduledPrices['prices'] => ({
    input_mtok: input,
    output_mtok: output,
  })
  const from = (date: string, input: number): ScheduledPrices => ({
    constraint: { type: 'start_date', start_date: date },
    prices: list(input, input * 2),
  })

  it('take the list that holds on the day and tell of later ones', () => {
    const lists = [{ prices: list(1, 2) }, from('2026-03-01', 3), from('2027-01-01', 9)]
    expect(pricesOn('2026-02-28', lists).prices).toEqual(list(1, 2))
    expect(pricesOn('2026-03-01', lists)).toEqual({ prices: list(3, 6), changesLater: ['2027-01-01'] })
    expect(pricesOn('2027-06-01', lists)).toEqual({ prices: list(9, 18), changesLater: [] })
  })

  it('take the dearest hour, but no hours from before the current list', () => {
    const hours: ScheduledPrices = { constraint: { type: 'time_of_date' }, prices: list(5, 10) }
    expect(pricesOn('2026-01-01', [{ prices: list(1, 2) }, hours]).prices).toEqual(list(5, 10))
    expect(pricesOn('2026-01-01', [{ prices: list(7, 14) }, hours]).prices).toEqual(list(7, 14))
    expect(pricesOn('2026-04-01', [{ prices: list(1, 2) }, hours, from('2026-03-01', 3)]).prices).toEqual(list(3, 6))
  })

  it('refuse hours of which none is the dearest in every unit', () => {
    const hours: ScheduledPrices = { constraint: { type: 'time_of_date' }, prices: list(1, 10) }
    expect(() => pricesOn('2026-01-01', [{ prices: list(2, 2) }, hours])).toThrow('dearer')
  })
})

describe('figures', () => {
  it('gather the tiers of all units and fill absent classes with the input price', () => {
    const figures = figuresOf({
      input_mtok: { base: 1.25, tiers: [{ start: 200_000, price: 2.5 }] },
      cache_read_mtok: 0.125,
      output_mtok: {
        base: 10,
        tiers: [
          { start: 128_000, price: 12 },
          { start: 200_000, price: 15 },
        ],
      },
    })
    expect(figures.base).toEqual({ input: 1.25e9, cachedInput: 0.125e9, cacheWrite: 1.25e9, output: 10e9 })
    expect(figures.tiers.map((tier) => [tier.abovePromptTokens, tier.prices.input, tier.prices.output])).toEqual([
      [128_000, 1.25e9, 12e9],
      [200_000, 2.5e9, 15e9],
    ])
    expect(encodeFigures(figures)).toBe('1.25,.125,,10;128000:1.25,.125,,12;200000:2.5,.125,,15')
  })

  it('name the cache writes of an hour only where they cost more than others', () => {
    const units = { input_mtok: 3, cache_read_mtok: 0.3, cache_write_mtok: 3.75, output_mtok: 15 }
    expect(encodeFigures(figuresOf({ ...units, cache_write_1h_mtok: 6 }))).toBe('3,.3,3.75,15,6')
    expect(encodeFigures(figuresOf({ ...units, cache_write_1h_mtok: 3.75 }))).toBe('3,.3,3.75,15')
    expect(figuresOf(units).base).not.toHaveProperty('cacheWriteHour')
    expect(encodeFigures(figuresOf({ input_mtok: 1, cache_write_1h_mtok: 2 }))).toBe('1,,,0,2')
  })

  it('refuse units that token counts say nothing about', () => {
    expect(() => figuresOf({ input_mtok: 1, output_image_mtok: 30 })).toThrow(DroppedModel)
    expect(() => figuresOf({ audio_hours: 3 })).toThrow(DroppedModel)
  })

  it('are implausible when zero, upside down or with dear caches', () => {
    const strict = { free: false, cheaperOutput: false }
    const plain = { input: 100, cachedInput: 10, cacheWrite: 125, output: 500 }
    expect(implausibilities(plain, strict)).toEqual([])
    expect(implausibilities({ input: 0, cachedInput: 0, cacheWrite: 0, output: 0 }, strict)).toHaveLength(1)
    expect(implausibilities({ input: 0, cachedInput: 0, cacheWrite: 0, output: 0 }, { ...strict, free: true })).toEqual(
      [],
    )
    expect(implausibilities({ ...plain, output: 99 }, strict)).toHaveLength(1)
    expect(implausibilities({ ...plain, output: 99 }, { ...strict, cheaperOutput: true })).toEqual([])
    expect(implausibilities({ ...plain, cachedInput: 101 }, strict)).toHaveLength(1)
    expect(implausibilities({ ...plain, cacheWrite: 201, cacheWriteHour: 201 }, strict)).toHaveLength(2)
    expect(implausibilities({ ...plain, cacheWriteHour: 200 }, strict)).toEqual([])
    expect(implausibilities({ ...plain, cacheWriteHour: 201 }, strict)).toHaveLength(1)
    expect(implausibilities({ ...plain, cacheWriteHour: 124 }, strict)).toHaveLength(1)
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { complexities, strategies } from '../../../src/core/routing.ts'
import { type Arrangement, arrange, type Option, type PlanInputs } from '../../../src/features/routing/plan.ts'
import { count } from '../../support/lane.ts'

const figure = (max: number) => fc.integer({ min: 0, max })

const optionParts = fc.record(
  {
    out: fc.constantFrom('breaker_open', 'lacks_tools'),
    tier: figure(2),
    spare: fc.constant(true as const),
    dear: fc.constant(true as const),
    priority: fc.integer({ min: 1, max: 4 }),
    weight: fc.integer({ min: 1, max: 9 }),
    cost_nanos: figure(20_000_000),
    latency_ms: figure(8000),
    quality: figure(100).map((tenths) => tenths / 10),
    load: figure(20).map((tenths) => tenths / 10),
    health: fc.constantFrom(1, 0.5),
    error_rate: figure(100).map((percent) => percent / 100),
  },
  { requiredKeys: [] },
)

const caps = fc.record(
  { max_cost_nanos: figure(20_000_000), max_latency_ms: figure(8000), min_quality: figure(10) },
  { requiredKeys: [] },
)

const options = fc
  .array(optionParts, { minLength: 1, maxLength: 12 })
  .map((parts) => parts.map((part, at): Option => ({ id: `p${at}/m`, ...part })))

const inputs: fc.Arbitrary<PlanInputs> = fc
  .record({
    strategy: fc.constantFrom(...strategies, 'explicit' as const, 'first' as const),
    options,
    most: fc.constant(3),
    complexity: fc.constantFrom(...complexities),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    turn: figure(1000),
    epsilon: fc.constantFrom(0, 0.1, 1),
  })
  .chain((made) => fc.record({ hard: caps, soft: caps }, { requiredKeys: [] }).map((given) => ({ ...made, ...given })))

const runs = { numRuns: count(300, 20_000) }
const idsOf = ({ ordered }: Arrangement) => ordered.map(({ id }) => id)

/** What makes the placing of two options under a strategy right, where neither is drawn. */
const figures: Partial<Record<PlanInputs['strategy'], (option: Option) => number>> = {
  cost: ({ cost_nanos: cost = Number.POSITIVE_INFINITY }) => cost,
  latency: ({ latency_ms: latency = Number.POSITIVE_INFINITY }) => latency,
  quality: ({ quality }) => (quality === undefined ? Number.POSITIVE_INFINITY : -quality),
  least_busy: ({ load = 0 }) => load,
  priority: ({ priority = 0 }) => priority,
}

const tierOf = ({ tier = 0, spare }: Option) => (spare ? 99 : tier)

describe('an arrangement', () => {
  it('has every option once, in the order or with the reason why not', () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const made = arrange(given)
        const all = [...idsOf(made), ...made.excluded.map(({ id }) => id)]
        expect(all.toSorted()).toEqual(given.options.map(({ id }) => id).toSorted())
        for (const { id, out } of given.options) if (out !== undefined) expect(idsOf(made)).not.toContain(id)
      }),
      runs,
    )
  })

  it('is the same again from inputs that were stored and read', () => {
    fc.assert(
      fc.property(inputs, (given) => {
        expect(arrange(JSON.parse(JSON.stringify(given)))).toEqual(arrange(given))
      }),
      runs,
    )
  })

  it('goes by tier, then by what its strategy looks at', () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const byId = new Map(given.options.map((option) => [option.id, option]))
        const placed = idsOf(arrange(given)).flatMap((id) => byId.get(id) ?? [])
        const figureOf = figures[given.strategy] ?? (() => 0)
        for (const [at, option] of placed.slice(1).entries()) {
          const before = placed[at]
          if (!before) throw new Error('there is one before')
          expect(tierOf(before)).toBeLessThanOrEqual(tierOf(option))
          if (tierOf(before) === tierOf(option)) expect(figureOf(before)).toBeLessThanOrEqual(figureOf(option))
        }
      }),
      runs,
    )
  })

  it('never goes beyond a cap of the request', () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const chosen = new Set(idsOf(arrange(given)))
        const { max_cost_nanos: cost, max_latency_ms: latency, min_quality: quality } = given.hard ?? {}
        for (const option of given.options.filter(({ id }) => chosen.has(id))) {
          if (cost !== undefined) expect(option.cost_nanos).toBeLessThanOrEqual(cost)
          if (latency !== undefined) expect(option.latency_ms).toBeLessThanOrEqual(latency)
          if (quality !== undefined) expect(option.quality).toBeGreaterThanOrEqual(quality)
        }
      }),
      runs,
    )
  })

  it('goes beyond a cap of the class only where nothing keeps it, and says so', () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const made = arrange(given)
        const chosen = new Set(idsOf(made))
        const { max_cost_nanos: cost, max_latency_ms: latency, min_quality: quality } = given.soft ?? {}
        for (const option of given.options.filter(({ id, spare }) => chosen.has(id) && !spare)) {
          if (cost !== undefined && !made.relaxed.includes('cost')) expect(option.cost_nanos).toBeLessThanOrEqual(cost)
          if (latency !== undefined && !made.relaxed.includes('latency')) {
            expect(option.latency_ms).toBeLessThanOrEqual(latency)
          }
          if (quality !== undefined && !made.relaxed.includes('quality')) {
            expect(option.quality).toBeGreaterThanOrEqual(quality)
          }
        }
        const order = ['latency', 'quality', 'cost']
        expect(made.relaxed).toEqual(order.filter((cap) => made.relaxed.some((one) => one === cap)))
      }),
      runs,
    )
  })

  it('never leaves unsaid that a target is not good enough for its class', () => {
    const complex = { max_latency_ms: 5000, min_quality: 9 }
    fc.assert(
      fc.property(inputs, (given) => {
        const made = arrange({ ...given, strategy: 'smart', complexity: 'complex', soft: complex })
        const good = new Set(given.options.flatMap(({ id, quality = 0 }) => (quality >= 9 ? [id] : [])))
        for (const { id, relaxed } of made.ordered) {
          expect(good.has(id) || made.relaxed.includes('quality') || relaxed?.includes('quality')).toBe(true)
          expect(good.has(id) && relaxed?.includes('quality')).toBeFalsy()
        }
      }),
      runs,
    )
  })

  it('tells how likely its first was: over everything that may come first it adds up to one', () => {
    const draws = count(400, 4000)
    fc.assert(
      fc.property(inputs, (given) => {
        const likely = new Map<string, number>()
        const seen = new Map<string, number>()
        for (let at = 0; at < draws; at += 1) {
          const made = arrange({ ...given, random: at / draws, turn: at })
          const first = made.ordered[0]
          if (!first) return
          expect(likely.get(first.id) ?? made.propensity).toBeCloseTo(made.propensity, 12)
          likely.set(first.id, made.propensity)
          seen.set(first.id, (seen.get(first.id) ?? 0) + 1)
        }
        for (const [id, propensity] of likely) {
          expect(Math.abs((seen.get(id) ?? 0) / draws - propensity)).toBeLessThanOrEqual(12 / draws + 1e-9)
        }
        expect([...likely.values()].reduce((sum, one) => sum + one, 0)).toBeCloseTo(1, 1)
      }),
      { numRuns: count(60, 1000) },
    )
  })

  const scoresOf = (inputs: Omit<PlanInputs, 'most'>) =>
    Object.fromEntries(arrange({ ...inputs, most: 9 }).ordered.map(({ id, score }) => [id, score]))

  it.each([
    ['simple', 1, 1, 1],
    ['medium', 2, 0.5, 0.5],
    ['complex', 4, 0.25, 0.25],
  ] as const)('scores a %s request by quality^%d ÷ (USD^%d × seconds^%d)', (complexity, a, b, c) => {
    const options: Option[] = [
      { id: 'a/1', quality: 8, cost_nanos: 3_000_000, latency_ms: 1700 },
      { id: 'b/2', quality: 9.5, cost_nanos: 0, latency_ms: 20 },
    ]
    expect(scoresOf({ strategy: 'smart', complexity, options })).toEqual({
      'a/1': expect.closeTo(8 ** a / (0.003 ** b * 1.7 ** c), 6),
      // Nothing is cheaper than 0.00001 USD, nor quicker than a tenth of a second.
      'b/2': expect.closeTo(9.5 ** a / (0.00001 ** b * 0.1 ** c), 6),
    })
  })

  it('scores how well a target is by its health, load, latency and errors', () => {
    const options: Option[] = [
      { id: 'a/1', health: 1, load: 0.25, latency_ms: 800, error_rate: 0.1 },
      { id: 'b/2', health: 0.5, load: 3, latency_ms: 1600, error_rate: 0 },
      { id: 'c/3', loaded: true, health: 0 },
    ]
    expect(scoresOf({ strategy: 'health_based', options })).toEqual({
      'a/1': expect.closeTo(0.4 + 0.3 * 0.75 + 0.2 + 0.1 * 0.9, 12),
      'b/2': expect.closeTo(0.4 * 0.5 + 0.2 * 0.5 + 0.1, 12),
      'c/3': expect.closeTo(0.3 + 0.1 + 0.2, 12),
    })
  })

  it('gives the places after the first by lot as well', () => {
    const three = ['a', 'b', 'c'].map((id) => ({ id }))
    const orders = Array.from({ length: 200 }, (_, at) =>
      idsOf(arrange({ strategy: 'random', options: three, most: 3, random: at / 200 })).join(''),
    )
    expect(new Set(orders).size).toBe(6)
  })

  it('takes what nobody has a price for as the dearest, and keeps no cap by it', () => {
    const known = { id: 'a/1', cost_nanos: 5_000_000, latency_ms: 1000, quality: 8 }
    const unknown = { id: 'b/2', latency_ms: 1000, quality: 8 }
    const some = { strategy: 'smart', complexity: 'simple', options: [unknown, known], most: 3 } as const
    const scores = arrange(some).ordered.map(({ score }) => score)
    expect(scores[0]).toBe(scores[1])
    expect(idsOf(arrange({ ...some, strategy: 'cost' }))).toEqual(['a/1', 'b/2'])
    expect(arrange({ ...some, hard: { max_cost_nanos: 5_000_000 } })).toMatchObject({
      ordered: [{ id: 'a/1' }],
      excluded: [{ id: 'b/2', reason: 'over_max_cost' }],
    })
  })

  it('takes a cap of nothing at its word', () => {
    const some = [
      { id: 'a/1', cost_nanos: 1 },
      { id: 'b/2', cost_nanos: 0 },
    ]
    const made = arrange({ strategy: 'cost', options: some, most: 3, hard: { max_cost_nanos: 0 } })
    expect(idsOf(made)).toEqual(['b/2'])
  })

  it('gives up latency before quality, and quality before cost', () => {
    const soft = { max_cost_nanos: 10, max_latency_ms: 10, min_quality: 9 }
    const relaxedBy = (...some: Omit<Option, 'id'>[]) =>
      arrange({ strategy: 'cost', options: some.map((one, at) => ({ id: `p/${at}`, ...one })), most: 3, soft }).relaxed
    const fine = { cost_nanos: 1, latency_ms: 1, quality: 9.5 }
    expect(relaxedBy(fine, { ...fine, latency_ms: 99 })).toEqual([])
    expect(relaxedBy({ ...fine, latency_ms: 99 }, { ...fine, quality: 1 })).toEqual(['latency'])
    expect(relaxedBy({ ...fine, latency_ms: 99, quality: 1 }, { ...fine, cost_nanos: 99 })).toEqual(
      ['latency', 'quality', 'cost'].slice(0, 2),
    )
    expect(relaxedBy({ cost_nanos: 99, latency_ms: 99, quality: 1 })).toEqual(['latency', 'quality', 'cost'])
    expect(relaxedBy({ ...fine, dear: true })).toEqual(['cost'])
  })

  it('tells what is too dear for the built-in list from what is too dear for a class', () => {
    const options: Option[] = [
      { id: 'a/1', cost_nanos: 1 },
      { id: 'b/2', cost_nanos: 5, dear: true },
      { id: 'c/3', cost_nanos: 99, dear: true },
    ]
    const given = { strategy: 'cost', options, most: 3, soft: { max_cost_nanos: 10 } } as const
    const reasonsOf = (inputs: PlanInputs) => arrange(inputs).excluded.map(({ reason }) => reason)
    expect(reasonsOf({ ...given, most_in_all: 6 })).toEqual(['over_list_cost', 'over_class_cost'])
    // As it was called before.
    expect(reasonsOf(given)).toEqual(['over_class_cost', 'over_class_cost'])
  })

  it('leaves the default model for the end, without the caps of the class', () => {
    const some: Option[] = [
      { id: 'z/default', spare: true, quality: 1 },
      { id: 'a/1', quality: 9.5 },
    ]
    const one = arrange({ strategy: 'quality', options: some, most: 3, soft: { min_quality: 9 } })
    expect(one.ordered).toEqual([
      { id: 'a/1', reason: 'quality_choice' },
      { id: 'z/default', reason: 'default_model', relaxed: ['quality'] },
    ])
    const out = some.map((option) => (option.spare ? option : { ...option, out: 'breaker_open' }))
    expect(arrange({ strategy: 'quality', options: out, most: 3, soft: { min_quality: 9 } })).toMatchObject({
      ordered: [{ id: 'z/default', reason: 'default_model', relaxed: ['quality'] }],
      relaxed: [],
      propensity: 1,
    })
    const good = [{ id: 'z/default', spare: true, quality: 9 } as const]
    expect(arrange({ strategy: 'quality', options: good, most: 3, soft: { min_quality: 9 } }).ordered).toEqual([
      { id: 'z/default', reason: 'default_model' },
    ])
  })

  it('tries three that the strategy chose, then the fallbacks of each tier and the default model, six in all', () => {
    const own = [1, 2, 3, 4, 5].map((cost): Option => ({ id: `own/${cost}`, cost_nanos: cost }))
    const options: Option[] = [
      ...own,
      { id: 'default/1', spare: true, cost_nanos: 1 },
      { id: 'late/1', tier: 2, cost_nanos: 1 },
      { id: 'next/9', tier: 1, cost_nanos: 9 },
    ]
    const given = { strategy: 'cost', options, most: 3, most_in_all: 6 } as const
    const triedOf = (inputs: PlanInputs) => arrange(inputs).tried.map(({ id }) => id)
    expect(triedOf(given)).toEqual(['own/1', 'own/2', 'own/3', 'next/9', 'late/1', 'default/1'])
    const both = options.map((one) => (one.id === 'own/5' ? { ...one, fallback_tier: 1 } : one))
    expect(triedOf({ ...given, options: both })).toEqual(['own/1', 'own/2', 'own/3', 'own/5', 'next/9', 'late/1'])
    const alone = both.map((one) => (one.id < 'own/5' && one.id > 'own/' ? { ...one, out: 'breaker_open' } : one))
    expect(arrange({ ...given, options: alone }).tried).toEqual([
      { id: 'own/5', reason: 'cost_choice' },
      { id: 'next/9', reason: 'fallback' },
      { id: 'late/1', reason: 'fallback' },
      { id: 'default/1', reason: 'default_model' },
    ])
  })

  it('says of a fallback that it is one where nothing else is left', () => {
    const options: Option[] = [
      { id: 'a/asked', out: 'breaker_open' },
      { id: 'b/next', tier: 1 },
      { id: 'c/other', tier: 1 },
    ]
    const given = { strategy: 'explicit', options, most: 1 } as const
    expect(arrange({ ...given, most_in_all: 6 }).tried).toEqual([
      { id: 'b/next', reason: 'fallback' },
      { id: 'c/other', reason: 'fallback' },
    ])
    // As it was decided, and stored, when all tiers were counted alike.
    expect(arrange(given).tried).toEqual([{ id: 'b/next', reason: 'explicit_choice' }])
  })

  it('does not take long over fifty options', () => {
    const fifty = Array.from(
      { length: 50 },
      (_, at): Option => ({
        id: `p${at % 7}/m${at}`,
        priority: at % 5,
        weight: 1 + (at % 3),
        cost_nanos: (at * 7919) % 9_000_000,
        latency_ms: 200 + ((at * 104_729) % 4000),
        quality: 6 + (at % 40) / 10,
        load: (at % 10) / 10,
      }),
    )
    const best = (work: () => unknown): number => {
      const once = (): number => {
        const began = performance.now()
        for (let at = 0; at < 10; at += 1) work()
        return performance.now() - began
      }
      // So short that on a busy machine, too, some are not interrupted.
      return Math.min(...Array.from({ length: 100 }, once))
    }
    const written = best(() => JSON.stringify(fifty))
    for (const strategy of strategies) {
      const given = { strategy, complexity: 'medium', options: fifty, most: 3, random: 0.3, turn: 7 } as const
      // Writing them down takes some 20 µs: no order may take much longer than that.
      expect(best(() => arrange(given)) / written).toBeLessThan(15)
    }
  })
})

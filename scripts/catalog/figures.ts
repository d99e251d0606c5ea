import { nanoFromUsd } from '../../src/core/money.ts'
import type { TokenPrices } from '../../src/features/catalog/types.ts'

/** Prices of one model in nano-USD per 1,000,000 tokens, tiers in rising order of threshold. */
export type Figures = { base: TokenPrices; tiers: { abovePromptTokens: number; prices: TokenPrices }[] }

/** The shape of a price list in the data package: USD per million, flat or tiered by the tokens of the prompt. */
export type UnitPrice = number | { base: number; tiers: { start: number; price: number }[] }
export type UnitPrices = Record<string, UnitPrice | undefined>

/** Units that a chat call's token counts tell nothing about; a model billed in them cannot be priced. */
const UNPRICEABLE = /^(output_(audio|image|video)_mtok|.*_hours|.*_kpages|input_text_messages_kcount)$/

/** Thrown for a model that leaves the catalog; the message is the reason. */
export class DroppedModel extends Error {
  override readonly name = 'DroppedModel'
}

/**
 * The figures of a price list. A class without a price of its own costs what the input costs, a cache write of an hour
 * what any write costs; reasoning costs the dearer of its own and the output price. Throws `DroppedModel` when tokens alone cannot tell the cost.
 */
export function figuresOf(units: UnitPrices): Figures {
  const unpriceable = Object.keys(units).find((unit) => UNPRICEABLE.test(unit))
  if (unpriceable) throw new DroppedModel(`billed by ${unpriceable}`)
  const starts = new Set(Object.values(units).flatMap((price) => tiersOf(price).map(({ start }) => start)))
  return {
    base: pricesAt(units, undefined),
    tiers: [...starts]
      .sort((left, right) => left - right)
      .map((start) => ({ abovePromptTokens: start, prices: pricesAt(units, start) })),
  }
}

function tiersOf(price: UnitPrice | undefined): { start: number; price: number }[] {
  return typeof price === 'object' ? price.tiers : []
}

function pricesAt(units: UnitPrices, start: number | undefined): TokenPrices {
  const nano = (unit: string): number | undefined => {
    const price = units[unit]
    if (price === undefined) return undefined
    if (typeof price === 'number') return nanoFromUsd(price)
    const reached = price.tiers.filter((tier) => start !== undefined && tier.start <= start)
    const highest = reached.sort((left, right) => left.start - right.start).at(-1)
    return nanoFromUsd(highest?.price ?? price.base)
  }
  const input = nano('input_mtok') ?? 0
  const cacheWrite = nano('cache_write_mtok') ?? input
  const cacheWriteHour = nano('cache_write_1h_mtok') ?? cacheWrite
  return {
    input,
    cachedInput: nano('cache_read_mtok') ?? input,
    cacheWrite,
    ...(cacheWriteHour !== cacheWrite && { cacheWriteHour }),
    output: Math.max(nano('output_mtok') ?? 0, nano('output_reasoning_mtok') ?? 0),
  }
}

/** What is implausible about one set of prices, in words; empty when nothing is. */
export function implausibilities(prices: TokenPrices, allowed: { cheaperOutput: boolean; free: boolean }): string[] {
  const found: string[] = []
  const isZero = prices.input === 0 && prices.output === 0
  if (isZero && !allowed.free) found.push('a price of zero, and not listed as free')
  if (!isZero && prices.input === 0) found.push('free input with paid output')
  if (prices.output < prices.input && !allowed.cheaperOutput) found.push('output cheaper than input')
  if (prices.cachedInput > prices.input) found.push('cached input dearer than input')
  if (prices.cacheWrite > prices.input * 2) found.push('cache writes dearer than twice the input')
  const { cacheWriteHour } = prices
  if (cacheWriteHour !== undefined && cacheWriteHour < prices.cacheWrite) {
    found.push('cache writes of an hour cheaper than others')
  }
  if (cacheWriteHour !== undefined && cacheWriteHour > prices.input * 2) {
    found.push('cache writes of an hour dearer than twice the input')
  }
  return found
}

/** Cache writes listed below the input price are storage fees that come on top; the input price is the floor. */
export function withCacheWriteFloor(prices: TokenPrices): TokenPrices {
  return prices.cacheWrite < prices.input ? { ...prices, cacheWrite: prices.input } : prices
}

/**
 * `input,cached,write,output,write of an hour` in USD per million, tiers after `;threshold:`. What equals the input is
 * left empty, and the last where it costs what any write does.
 */
export function encodeFigures({ base, tiers }: Figures): string {
  const steps = tiers.map(({ abovePromptTokens, prices }) => `;${abovePromptTokens}:${encodePrices(prices)}`)
  return encodePrices(base) + steps.join('')
}

function encodePrices({ input, cachedInput, cacheWrite, cacheWriteHour, output }: TokenPrices): string {
  const classes = [cachedInput, cacheWrite, output].map((nano) => (nano === input ? '' : decimalUsd(nano)))
  const text = [decimalUsd(input), ...classes].join(',')
  return cacheWriteHour === undefined ? text.replace(/,+$/, '') : `${text},${decimalUsd(cacheWriteHour)}`
}

function decimalUsd(nano: number): string {
  const digits = String(nano).padStart(10, '0')
  const text = `${digits.slice(0, -9)}.${digits.slice(-9)}`.replace(/\.?0+$/, '')
  if (nanoFromUsd(text) !== nano) throw new Error(`${nano} does not survive its decimal text ${text}`)
  return text.replace(/^0\./, '.')
}

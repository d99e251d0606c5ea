import { findProvider, type ModelInfo } from '@pydantic/genai-prices'
import {
  cheaperOutput,
  freeModels,
  priors,
  retired,
  successors,
  windows,
} from '../../src/features/catalog/overrides.ts'
import { type PriceRow, priceRows } from '../../src/features/catalog/price-rows.ts'
import { familyOf, traitLettersOf } from '../../src/features/catalog/traits.ts'
import {
  DroppedModel,
  encodeFigures,
  type Figures,
  figuresOf,
  implausibilities,
  withCacheWriteFloor,
} from './figures.ts'
import { exclusionOf, namesOf, withAliases } from './names.ts'
import { pricesOn } from './schedule.ts'

/** One model of one vendor as the generated file holds it, and remarks for the person who compiles it. */
export type Row = {
  own: string
  names: string[]
  contextWindow: number | undefined
  price: string
  traits: string
  isRetired: boolean
}
export type Table = { vendor: string; rows: Row[]; remarks: string[] }

type Source = { id: string; context_window?: number; deprecated?: boolean }

/** Rows of a vendor on a day; `providerId` is its name in the data package, undefined when the package lacks it. */
export function tableOf(vendor: string, providerId: string | undefined, asOf: string): Table {
  const remarks: string[] = []
  const byHand = priceRows.filter((each) => each.vendor === vendor)
  const provider = providerId === undefined ? undefined : findProvider({ providerId })
  if (providerId !== undefined && !provider) throw new Error(`the data has no provider ${providerId}`)
  const rows = (provider?.models ?? []).flatMap((model) => {
    try {
      return [rowFromData(model, { vendor, asOf, remark: (text) => remarks.push(`${model.id}: ${text}`) })]
    } catch (error) {
      if (!(error instanceof DroppedModel)) throw error
      remarks.push(`${model.id}: dropped, ${error.message}`)
      return []
    }
  })
  const replaced = new Set(byHand.flatMap((each) => [each.name, ...(each.otherNames ?? [])]))
  const kept = rows.filter((row) => !replaced.has(row.own))
  return { vendor, rows: [...byHand.map(rowByHand), ...kept], remarks }
}

/** What is being compiled, and where to say what is odd about it. */
type Compiling = { vendor: string; asOf: string; remark: (text: string) => void }

function rowFromData(model: ModelInfo, { vendor, asOf, remark }: Compiling): Row {
  const reason = exclusionOf(vendor, model.id)
  if (reason) throw new DroppedModel(reason)
  const { own, marked } = namesOf(vendor, model.id, model.match)
  const { prices, changesLater } = pricesOn(asOf, model.prices)
  for (const date of changesLater) remark(`price changes on ${date}; compile again then`)
  const figures = checkedFigures(own, figuresOf(prices), { vendor, remark })
  return finishRow(vendor, { own, names: marked, price: encodeFigures(figures) }, model)
}

function checkedFigures(own: string, raw: Figures, { vendor, remark }: Omit<Compiling, 'asOf'>): Figures {
  const listed = (list: readonly { vendor: string; names: RegExp }[]): boolean =>
    list.some((each) => each.vendor === vendor && each.names.test(own))
  const isEmbedding = traitLettersOf(own).letters.includes('e')
  const allowed = { free: listed(freeModels), cheaperOutput: isEmbedding || listed(cheaperOutput) }
  const settle = (prices: Figures['base']): Figures['base'] => {
    const wrong = implausibilities(prices, allowed)
    if (wrong.length > 0) throw new DroppedModel(wrong.join('; '))
    const floored = withCacheWriteFloor(prices)
    if (floored !== prices) remark('cache writes raised to the input price')
    return floored
  }
  return {
    base: settle(raw.base),
    tiers: raw.tiers.map((tier) => ({ ...tier, prices: settle(tier.prices) })),
  }
}

function rowByHand(row: PriceRow): Row {
  const { own, marked } = withAliases(row.vendor, row.name, [row.name, ...(row.otherNames ?? [])])
  // A figure kept by hand that is implausible is a slip of ours: it must stop the build, not drop the model.
  const stop = (text: string): never => {
    throw new Error(`${row.vendor}/${row.name}: ${text}`)
  }
  const check = (figures: Figures): Figures => checkedFigures(own, figures, { vendor: row.vendor, remark: stop })
  const price = row.price === 'node' ? '-' : encodeFigures(check(figuresByHand(row.price)))
  const source = row.contextWindow === undefined ? { id: own } : { id: own, context_window: row.contextWindow }
  return finishRow(row.vendor, { own, names: marked, price }, source)
}

function figuresByHand(price: Exclude<PriceRow['price'], 'node'>): Figures {
  const unitsOf = (each: { input: string; cachedInput?: string; cacheWrite?: string; output?: string }) => ({
    input_mtok: Number(each.input),
    ...(each.output === undefined ? {} : { output_mtok: Number(each.output) }),
    ...(each.cachedInput === undefined ? {} : { cache_read_mtok: Number(each.cachedInput) }),
    ...(each.cacheWrite === undefined ? {} : { cache_write_mtok: Number(each.cacheWrite) }),
  })
  const tiers = (price.tiers ?? []).map((tier) => ({
    abovePromptTokens: tier.abovePromptTokens,
    prices: figuresOf(unitsOf(tier)).base,
  }))
  return { base: figuresOf(unitsOf(price)).base, tiers }
}

const priorOf = (name: string) => priors.find(({ family }) => family.test(name))

function finishRow(vendor: string, row: Pick<Row, 'own' | 'names' | 'price'>, source: Source): Row {
  const { letters, maxOutputTokens, imageTokenBound } = traitLettersOf(row.own)
  const family = familyOf(row.own)
  const prior = priorOf(successors.find((each) => each.family.test(family))?.of ?? family)
  const fixed = windows.find((each) => each.vendor === vendor && each.names.test(row.own))
  const contextWindow = fixed?.contextWindow ?? source.context_window
  const limit = Math.min(maxOutputTokens ?? Number.POSITIVE_INFINITY, contextWindow ?? Number.POSITIVE_INFINITY)
  const isRetired =
    source.deprecated === true || retired.some((each) => each.vendor === vendor && each.names.test(row.own))
  const maxOutput = maxOutputTokens === undefined ? '' : limit
  const traits = [letters, maxOutput, imageTokenBound ?? '', prior?.quality ?? '', prior?.latencySeconds ?? '']
  return { ...row, contextWindow, traits: traits.join(','), isRetired }
}

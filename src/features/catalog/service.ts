import type { Usage } from '../../core/models.ts'
import { chargeNanoUsd } from '../../core/money.ts'
import { vendorTables } from './data.gen.ts'
import { allModels, findModel, indexTable, nodePrice, type VendorIndex } from './index-of-vendor.ts'
import { traitsOf } from './traits.ts'
import type { CatalogModel, Price } from './types.ts'

export { pricesAsOf, pricesHash } from './data.gen.ts'
export { nodePrice } from './index-of-vendor.ts'
export { traitsOf } from './traits.ts'
export type { Capability, CatalogModel, Price, Prior, TokenPrices, Traits } from './types.ts'

/** Vendors whose own hardware answers: a model they have and we have never heard of costs no tokens either. */
const TOKEN_FREE_VENDORS: ReadonlySet<string> = new Set(['ollama', 'node'])
const MAX_NAME_CHARACTERS = 256
const MAX_REMEMBERED_NAMES = 512

const tables: ReadonlyMap<string, string> = new Map(vendorTables)
const indexes = new Map<string, VendorIndex>()
const resolved = new Map<string, readonly CatalogModel[]>()

/**
 * Vendors that serve a name, in order of preference; none for an unknown name. `vendor/model` means that vendor alone
 * and resolves for names unknown to the catalog too, then with no price. Dated versions have their family's figures.
 */
export function resolveModel(name: string): readonly CatalogModel[] {
  const known = resolved.get(name)
  if (known) return known
  const models = name.length > MAX_NAME_CHARACTERS ? [] : findEverywhere(name)
  if (models.length > 0) {
    // Callers choose the names, so what we remember of them is bounded.
    if (resolved.size >= MAX_REMEMBERED_NAMES) resolved.clear()
    resolved.set(name, models)
  }
  return models
}

function findEverywhere(name: string): readonly CatalogModel[] {
  const slashAt = name.indexOf('/')
  const index = slashAt > 0 ? indexOf(name.slice(0, slashAt)) : undefined
  if (index) {
    const rest = name.slice(slashAt + 1)
    return rest === '' ? [] : [findModel(index, rest) ?? findModel(index, name) ?? unlistedModel(index.vendor, rest)]
  }
  return [...tables.keys()].map((vendor) => modelOf(vendor, name)).filter((model) => model !== undefined)
}

function unlistedModel(vendor: string, name: string): CatalogModel {
  // OpenRouter's names all have an author; its own routers are `openrouter/auto` and the like.
  const own = vendor === 'openrouter' && !name.includes('/') ? `openrouter/${name}` : name
  const price = TOKEN_FREE_VENDORS.has(vendor) ? nodePrice : undefined
  return { ...traitsOf(own), name: own, vendor, contextWindow: undefined, price, prior: undefined }
}

/** All models of a vendor, each once; none for an unknown vendor. */
export function modelsOf(vendor: string): readonly CatalogModel[] {
  const index = indexOf(vendor)
  return index ? allModels(index) : []
}

/** A vendor's model by any name that the vendor or our callers use for it; undefined when the catalog has none. */
export function modelOf(vendor: string, name: string): CatalogModel | undefined {
  const index = indexOf(vendor)
  return index ? findModel(index, name) : undefined
}

function indexOf(vendor: string): VendorIndex | undefined {
  const ready = indexes.get(vendor)
  if (ready) return ready
  const table = tables.get(vendor)
  if (table === undefined) return undefined
  const index = indexTable(vendor, table)
  indexes.set(vendor, index)
  return index
}

/**
 * Cost of a call in nano-USD, exact and rounded up once. The last tier that the whole prompt passes prices all of it.
 * Cached and cache-written tokens beyond the prompt, which some vendors report, are charged as they are. Throws
 * `RangeError` on counts that are negative or fractional.
 */
export function costNanoUsd(price: Price, usage: Usage): number {
  const uncached = Math.max(usage.prompt - usage.cached - usage.cacheWrite, 0)
  const promptTokens = uncached + usage.cached + usage.cacheWrite
  const tier = price.tiers.findLast(({ abovePromptTokens }) => promptTokens > abovePromptTokens)
  const prices = tier?.prices ?? price.base
  const writtenForHour = Math.min(usage.cacheWriteHour ?? 0, usage.cacheWrite)
  return chargeNanoUsd([
    { units: uncached, nanoUsdPerMillion: prices.input },
    { units: usage.cached, nanoUsdPerMillion: prices.cachedInput },
    { units: usage.cacheWrite - writtenForHour, nanoUsdPerMillion: prices.cacheWrite },
    { units: writtenForHour, nanoUsdPerMillion: prices.cacheWriteHour ?? prices.cacheWrite },
    { units: usage.completion, nanoUsdPerMillion: prices.output },
  ])
}

/** Every price of this catalog, each once, with the model that it is of; the free one of nodes is of none. */
export function allPrices(): { price: Price; vendor: string; model: string }[] {
  const found = new Map([[nodePrice.id, { price: nodePrice, vendor: 'node', model: '' }]])
  for (const vendor of tables.keys()) {
    for (const { price, name: model } of modelsOf(vendor)) {
      if (price && !found.has(price.id)) found.set(price.id, { price, vendor, model })
    }
  }
  return [...found.values()]
}

/** The price of an id as long as its figures are still the catalog's; undefined for a price of an earlier catalog. */
export function findPrice(priceId: string): Price | undefined {
  if (priceId === nodePrice.id) return nodePrice
  const slashAt = priceId.indexOf('/')
  const hashAt = priceId.lastIndexOf('@')
  if (slashAt < 0 || hashAt < slashAt) return undefined
  const price = modelOf(priceId.slice(0, slashAt), priceId.slice(slashAt + 1, hashAt))?.price
  return price?.id === priceId ? price : undefined
}

import type { Provider } from '../../core/models.ts'
import type { Outbound } from '../../core/outbound.ts'
import type { VendorSettings } from '../../core/settings.ts'
import { type VendorRow, type VendorWire, vendorCatalog } from '../../core/vendors.ts'
import { createAnthropic } from './anthropic.ts'
import { createGemini } from './gemini.ts'
import { createOpenAiCompatible, type OpenAiCompatibleOptions } from './openai-compatible.ts'

type ByName = Readonly<Record<string, VendorSettings>>

/** The vendors of the catalog that have a key, in order of priority. Throws `Error` for a key that cannot be sent. */
export function createVendors({ vendors, outbound }: { vendors: ByName; outbound: Outbound }): Provider[] {
  return configuredRows(vendors).map(({ row, apiKey, baseUrl }) => {
    const { name, wire, quirks, timeouts, wholeTotalMs } = row
    return creators[wire]({ name, baseUrl, apiKey, outbound, quirks, timeouts, wholeTotalMs })
  })
}

/** One adapter a wire; those without quirks disregard them. */
const creators: Readonly<Record<VendorWire, (options: OpenAiCompatibleOptions) => Provider>> = {
  openai: createOpenAiCompatible,
  anthropic: createAnthropic,
  gemini: createGemini,
}

/** Where these vendors are reached: `https://api.openai.com`. */
export const vendorOrigins = (vendors: ByName): string[] =>
  configuredRows(vendors).map(({ baseUrl }) => new URL(baseUrl).origin)

function configuredRows(vendors: ByName): { row: VendorRow; apiKey: string; baseUrl: string }[] {
  const rows = [...vendorCatalog].sort((left, right) => left.priority - right.priority)
  return rows.flatMap((row) => {
    const settings = Object.hasOwn(vendors, row.name) ? vendors[row.name] : undefined
    return settings === undefined ? [] : [{ row, apiKey: settings.apiKey, baseUrl: settings.baseUrl ?? row.baseUrl }]
  })
}

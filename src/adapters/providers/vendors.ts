import type { Provider } from '../../core/models.ts'
import type { Outbound } from '../../core/outbound.ts'
import type { VendorSettings } from '../../core/settings.ts'
import { vendorCatalog } from './catalog.ts'
import { createOpenAiCompatible } from './openai-compatible.ts'

type Configured = { vendors: Readonly<Record<string, VendorSettings>>; outbound: Outbound }

/** The vendors of the catalog that have a key, in order of priority. */
export function createVendors({ vendors, outbound }: Configured): Provider[] {
  const rows = [...vendorCatalog].sort((left, right) => left.priority - right.priority)
  return rows.flatMap(({ name, baseUrl, quirks, timeouts, wholeTotalMs }) => {
    const settings = Object.hasOwn(vendors, name) ? vendors[name] : undefined
    if (settings === undefined) return []
    const { apiKey } = settings
    return [
      createOpenAiCompatible({
        name,
        baseUrl: settings.baseUrl ?? baseUrl,
        apiKey,
        outbound,
        quirks,
        timeouts,
        wholeTotalMs,
      }),
    ]
  })
}

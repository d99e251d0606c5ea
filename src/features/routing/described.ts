import type { AccountModel } from '../../core/accounts.ts'
import type { Provider } from '../../core/models.ts'
import { type Capability, type CatalogModel, modelOf, traitsOf } from '../catalog/service.ts'

const capabilities: ReadonlySet<string> = new Set<Capability>([
  'tools',
  'json_schema',
  'vision',
  'reasoning',
  'embedding',
  'completion',
])
const isCapability = (text: string): text is Capability => capabilities.has(text)

/**
 * What is known of a model that an organisation described of its account: its own words, then what the catalog has of
 * that name, then what the name alone tells. Undefined for any other model.
 */
export function describedModel({ name, account }: Provider, model: string): CatalogModel | undefined {
  const described = account?.models.find((one) => one.name === model)
  return described && toEntry(described, { name, vendor: account?.vendor })
}

function toEntry(
  described: AccountModel,
  { name, vendor }: { name: string; vendor: string | undefined },
): CatalogModel {
  const { kind, price, contextWindow, maxOutputTokens } = described
  const known = vendor === undefined ? undefined : modelOf(vendor, described.upstreamName ?? described.name)
  const traits = known ?? traitsOf(described.upstreamName ?? described.name)
  const told = described.capabilities?.filter(isCapability)
  const least: Capability = kind === 'chat' ? 'completion' : 'embedding'
  return {
    imageTokenBound: traits.imageTokenBound,
    kind,
    capabilities: [...new Set([least, ...(told ?? (traits.kind === kind ? traits.capabilities : []))])],
    maxOutputTokens: maxOutputTokens ?? traits.maxOutputTokens,
    name: described.name,
    vendor: name,
    contextWindow: contextWindow ?? known?.contextWindow,
    price: price ? { ...price, tiers: [] } : known?.price,
    prior: known?.prior,
  }
}

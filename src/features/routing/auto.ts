import { type Strategy, strategies } from '../../core/routing.ts'
import { vendorCatalog } from '../../core/vendors.ts'
import type { CatalogModel } from '../catalog/service.ts'

const autoModels = new Map(vendorCatalog.map(({ name, auto }) => [name, auto]))

/** What a caller may say of how to choose; some strategies have two names. */
export const strategyNames = [...strategies, 'performance', 'balanced'] as const
export type StrategyName = (typeof strategyNames)[number]

const PREFIX = 'auto:'
const chosenBy: ReadonlyMap<string, Strategy> = new Map(strategyNames.map((name) => [PREFIX + name, strategyOf(name)]))

export function strategyOf(name: StrategyName): Strategy {
  if (name === 'performance') return 'latency'
  return name === 'balanced' ? 'smart' : name
}

/** What `auto:<name>` asks for; undefined for plain `auto` and for every other name. */
export const strategyOfAuto = (model: string): Strategy | undefined => chosenBy.get(model)

/** The choice of the model is left to us. */
export const isAuto = (name: string): boolean => name === 'auto' || chosenBy.has(name)

/** Looks as if the choice were left to us, but says by what in a word that there is not. */
export const isMisspeltAuto = (name: string): boolean => name.startsWith(PREFIX) && !isAuto(name)

/** What `auto` asks of a vendor. */
export const autoModelOf = (vendor: string, kind: CatalogModel['kind']): string | undefined =>
  kind === 'transcription' ? undefined : autoModels.get(vendor)?.[kind]

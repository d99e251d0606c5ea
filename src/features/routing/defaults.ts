import { nanoFromUsd } from '../../core/money.ts'
import type { PolicyTarget, Strategy } from '../../core/routing.ts'
import { vendorCatalog } from '../../core/vendors.ts'
import { autoModelOf } from './auto.ts'

/** What a vendor's targets have where no policy names any. */
export type VendorDefaults = Omit<PolicyTarget, 'provider' | 'model'>

/** By vendor; one that is not named has the priority below and nothing else. */
const defaults: Partial<Record<Strategy, Readonly<Record<string, VendorDefaults>>>> = {
  priority: { anthropic: { priority: 1 }, openai: { priority: 2 }, deepseek: { priority: 3 } },
  cost: {
    deepseek: { priority: 1, maxCostPerRequestNanoUsd: nanoFromUsd(0.01) },
    openai: {
      priority: 2,
      maxCostPerTokenNanoUsd: nanoFromUsd(0.000002),
      maxCostPerRequestNanoUsd: nanoFromUsd(0.1),
    },
    anthropic: { priority: 100 },
  },
  latency: { anthropic: { timeoutMs: 30_000 }, openai: { timeoutMs: 15_000 } },
}

/** Vendors that no list names stand behind those that one does, in the order in which they are preferred elsewhere. */
const FIRST_OTHER_PRIORITY = 10
const places = new Map(vendorCatalog.map(({ name }, at) => [name, FIRST_OTHER_PRIORITY + at]))
const LAST_PRIORITY = FIRST_OTHER_PRIORITY + vendorCatalog.length
/** More than there are providers. */
const PLACES = 1000

/** `place`: where the provider stands among those that are configured; it decides between two of one vendor. */
export function defaultsFor(strategy: Strategy, vendor: string | undefined, place: number): VendorDefaults {
  const given = vendor === undefined ? undefined : defaults[strategy]?.[vendor]
  const priority = given?.priority ?? places.get(vendor ?? '') ?? LAST_PRIORITY
  return { ...given, priority: priority * PLACES + place }
}

/** What is asked after a model of that name has failed, where a policy does not say otherwise. */
const chains: Readonly<Record<string, readonly string[]>> = {
  'gemini-pro': ['gpt-4-turbo', 'claude-3-sonnet'],
  'gpt-4-turbo': ['claude-3-opus', 'gemini-pro'],
  'claude-3-opus': ['gpt-4-turbo', 'gemini-pro'],
  'gpt-3.5-turbo': ['gemini-pro', 'mistral-large'],
}

const vendorChains: Readonly<Record<string, readonly string[]>> = { anthropic: ['openai', 'deepseek'] }

/**
 * The names to try after a model: those that the policy has for one of its names, then those that it has for every model
 * (`*`), then the built-in ones. A policy without any fallbacks wants none. `vendor` is whose model it is.
 */
export function chainOf(
  fallbacks: Readonly<Record<string, readonly string[]>>,
  { names, vendor }: { names: readonly string[]; vendor: string | undefined },
): readonly string[] {
  if (Object.keys(fallbacks).length === 0) return []
  return firstOf(fallbacks, [...names, '*']) ?? builtIn(names, vendor)
}

const own = <T>(record: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined

const firstOf = <T>(record: Readonly<Record<string, T>>, names: readonly string[]): T | undefined =>
  names.map((name) => own(record, name)).find((found) => found !== undefined)

function builtIn(names: readonly string[], vendor: string | undefined): readonly string[] {
  const next = vendor === undefined ? [] : (own(vendorChains, vendor) ?? [])
  return (
    firstOf(chains, names) ??
    next.flatMap((other) => {
      const model = autoModelOf(other, 'chat')
      return model === undefined ? [] : [`${other}/${model}`]
    })
  )
}

import type { Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import type { Provider } from '../../core/models.ts'
import { type CatalogModel, modelOf, modelsOf, nodePrice, type Price, resolveModel } from '../catalog/service.ts'
import { autoModelOf } from './auto.ts'
import { type Listing, listingOf } from './listing.ts'

/** A provider and a model of it that could answer. `id` is `provider/model`. */
export type Target = {
  id: string
  provider: Provider
  model: string
  /** What the catalog knows; undefined for a model it does not list. */
  entry: CatalogModel | undefined
  /** Undefined when nobody has told us what it costs. */
  price: Price | undefined
}

/** What the caller asked for, in their words. */
export type Wanted = {
  model: string
  /** Only this provider; no other is tried. */
  provider?: string | undefined
  /** Further names, tried in order. */
  fallbacks?: readonly string[] | undefined
  kind: CatalogModel['kind']
}

export type Candidates = { targets: readonly Target[]; forbidden: boolean }

type World = Pick<Deps, 'providers' | 'memory' | 'now'>

/**
 * Every target that could serve what was asked, in the caller's order, from this isolate's memory alone.
 * `forbidden` is true when there are some but the key may use none of them.
 */
export function targetsFor(world: World, policy: Pick<Policy, 'allowedModels' | 'mode'>, wanted: Wanted): Candidates {
  const found = [wanted.model, ...(wanted.fallbacks ?? [])].flatMap((name) => namedTargets(world, name, wanted.kind))
  const unique = [...new Map(found.map((target) => [target.id, target])).values()]
  const reachable = unique.filter(
    ({ provider }) =>
      (wanted.provider === undefined || provider.name === wanted.provider) &&
      // Test keys never spend: they reach the team's own nodes only.
      (policy.mode === 'live' || provider.kind === 'node'),
  )
  const { allowedModels } = policy
  if (allowedModels === undefined) return { targets: reachable, forbidden: false }
  const allowed = reachable.filter(
    ({ id, model }) =>
      allowedModels.includes(id) || allowedModels.includes(model) || allowedModels.includes(wanted.model),
  )
  return { targets: allowed, forbidden: allowed.length === 0 && reachable.length > 0 }
}

function namedTargets(world: World, name: string, kind: CatalogModel['kind']): Target[] {
  if (name === 'auto' || name.startsWith('auto:')) return autoTargets(world)
  const slash = name.indexOf('/')
  const prefixed = slash > 0 ? world.providers.get(name.slice(0, slash)) : undefined
  if (prefixed) {
    const model = name.slice(slash + 1)
    return prefixed.kind === 'node' ? nodeTargets(world, prefixed, model) : [vendorTarget(prefixed, model)]
  }
  const vendors = resolveModel(name)
    .filter((entry) => entry.kind === kind)
    .flatMap((entry) => {
      const provider = world.providers.get(entry.vendor)
      if (!provider) return []
      return provider.kind === 'node'
        ? nodeTargets(world, provider, entry.name)
        : [targetOf(provider, entry.name, entry)]
    })
  if (vendors.length > 0) return vendors
  return nodesOf(world).flatMap((node) => nodeTargets(world, node, name))
}

function autoTargets(world: World): Target[] {
  return [...world.providers.values()].flatMap((provider) => {
    if (provider.kind === 'vendor') {
      const model = autoModelOf(provider.name)
      return model === undefined ? [] : [vendorTarget(provider, model)]
    }
    const listing = listingOf(world, provider)
    const usable = listing?.models.filter(({ capabilities }) => capabilities?.includes('completion') ?? true) ?? []
    const chosen = usable.find(({ name }) => name.startsWith('llama3.1')) ?? usable[0]
    return chosen ? [targetOf(provider, chosen.name, undefined)] : []
  })
}

/** An explicit `vendor/model` may name what the catalog has not heard of: the vendor will know. */
function vendorTarget(provider: Provider, model: string): Target {
  const entry = modelOf(provider.name, model)
  return targetOf(provider, entry?.name ?? model, entry)
}

/** A node serves what it lists; a name without a tag means `:latest`. */
function nodeTargets(world: World, node: Provider, name: string): Target[] {
  const listed = listingOf(world, node)?.models.find((model) => model.name === name || model.name === `${name}:latest`)
  return listed ? [targetOf(node, listed.name, undefined)] : []
}

const targetOf = (provider: Provider, model: string, entry: CatalogModel | undefined): Target => ({
  id: `${provider.name}/${model}`,
  provider,
  model,
  entry,
  price: provider.kind === 'node' ? nodePrice : entry?.price,
})

export const nodesOf = ({ providers }: Pick<Deps, 'providers'>): Provider[] =>
  [...providers.values()].filter((provider) => provider.kind === 'node')

/** Models that a key may see: everything its configured vendors have in the catalog and its nodes list. */
export function listTargets(world: World, policy: Pick<Policy, 'allowedModels' | 'mode'>): Target[] {
  const all = [...world.providers.values()].flatMap((provider) => {
    if (provider.kind === 'vendor') {
      return modelsOf(provider.name).map((entry) => targetOf(provider, entry.name, entry))
    }
    const listing: Listing | undefined = listingOf(world, provider)
    return (listing?.models ?? []).map((model) => targetOf(provider, model.name, undefined))
  })
  return all.filter(
    ({ id, model, provider }) =>
      (policy.mode === 'live' || provider.kind === 'node') &&
      (policy.allowedModels === undefined || policy.allowedModels.includes(id) || policy.allowedModels.includes(model)),
  )
}

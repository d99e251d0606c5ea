import type { Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import type { ListedModel, Provider } from '../../core/models.ts'
import type { TaskType } from '../../core/tasks.ts'
import { type CatalogModel, modelOf, modelsOf, nodePrice, type Price, resolveModel } from '../catalog/service.ts'
import { autoModelOf, isAuto } from './auto.ts'
import { describedModel } from './described.ts'
import { type Listing, listingOf } from './listing.ts'
import { withBestNodes } from './node-choice.ts'
import type { RoutingWish } from './options.ts'

/** A model and its five fallbacks, each once. */
export const MAX_TARGETS = 6
/** Of the targets that `auto` may choose from, the dearest decides what is held: more of them would hold too much. */
const MAX_AUTO_TARGETS = 3

/** A provider and a model of it that could answer. `id` is `provider/model`. */
export type Target = {
  id: string
  provider: Provider
  model: string
  /** What the catalog knows; undefined for a model it does not list. */
  entry: CatalogModel | undefined
  /** Undefined when nobody has told us what it costs. */
  price: Price | undefined
  /** When an account whose credentials were all refused may be asked again, Unix ms; absent when it may be now. */
  readyAtMs?: number | undefined
}

/** What the caller asked for, in their words. */
export type Wanted = {
  model: string
  /** Only this provider; no other is tried. */
  provider?: string | undefined
  /** Further names, tried in order. */
  fallbacks?: readonly string[] | undefined
  kind: CatalogModel['kind']
  /** What `auto` must be able to do; a model that was named is taken at its word. */
  needs?: readonly Need[] | undefined
  /** How it is to be routed, in the caller's words. */
  routing?: RoutingWish | undefined
  /** What it is for, where the caller says so. */
  taskType?: TaskType | undefined
  /** It must not leave the team's own machines. */
  nodesOnly?: true | undefined
  /** Whatever serves the name: only the target of this id will do. */
  targetId?: string | undefined
}

export type Need = 'vision' | 'tools' | 'json_schema'

export type Candidates = {
  targets: readonly Target[]
  /** So many of them, the first, serve the name that was asked for; absent where all do. */
  asked?: number
  forbidden: boolean
}

type World = Pick<Deps, 'providers' | 'memory' | 'now'>

/**
 * Every target that could serve what was asked, in the caller's order, from this isolate's memory alone.
 * `forbidden` is true when there are some but the key may use none of them.
 */
export function targetsFor(world: World, policy: Pick<Policy, 'allowedModels' | 'mode'>, wanted: Wanted): Candidates {
  const names = [wanted.model, ...(wanted.fallbacks ?? [])]
  const served = names.map((name) => servedAs(name, world, policy, wanted))
  const chosen = served.map(({ allowed }, at) =>
    isAuto(names[at] ?? '') ? allowed.slice(0, MAX_AUTO_TARGETS) : allowed,
  )
  const unique = uniqueTargets(chosen.flat())
  const forbidden = unique.length === 0 && served.some(({ isReachable }) => isReachable)
  const asked = uniqueTargets(chosen[0] ?? []).length
  return { targets: unique.slice(0, MAX_TARGETS), ...(asked < unique.length && { asked }), forbidden }
}

/** Each target once, where it came first. */
export const uniqueTargets = (targets: readonly Target[]): Target[] => [
  ...new Map(targets.map((target) => [target.id, target])).values(),
]

type Served = { allowed: Target[]; isReachable: boolean }

/** What serves a name, as far as the caller may use it; and whether anything does. */
export function servedAs(
  name: string,
  world: World,
  policy: Pick<Policy, 'allowedModels' | 'mode'>,
  wanted: Wanted,
): Served {
  return narrowed(namedTargets(world, name, wanted), world, policy, { ...wanted, model: name })
}

/** Of targets that come under a name, those that the caller may use. */
export function narrowed(
  targets: readonly Target[],
  world: World,
  policy: Pick<Policy, 'allowedModels' | 'mode'>,
  wanted: Wanted,
): Served {
  const reachable = targets.filter(
    ({ id, provider }) =>
      (wanted.provider === undefined || provider.name === wanted.provider) &&
      (wanted.targetId === undefined || id === wanted.targetId) &&
      // Test keys never spend: they reach the team's own nodes only.
      ((policy.mode === 'live' && !wanted.nodesOnly) || provider.kind === 'node'),
  )
  const names = isAuto(wanted.model) ? [wanted.model, 'auto'] : [wanted.model]
  const isNamed = names.some((name) => policy.allowedModels?.includes(name))
  const allowed = isNamed ? reachable : reachable.filter((target) => mayUse(world, policy, target))
  return { allowed, isReachable: reachable.length > 0 }
}

/** A key's list names targets (`vendor/model`), or models whoever serves them. */
function mayUse(
  { providers }: World,
  { allowedModels }: Pick<Policy, 'allowedModels'>,
  { id, model }: Target,
): boolean {
  if (allowedModels === undefined || allowedModels.includes(id)) return true
  // OpenRouter calls a model of its own `openai/gpt-4o`: with openai configured that is the name of another target.
  const namesAnother = providers.has(model.slice(0, Math.max(0, model.indexOf('/'))))
  return !namesAnother && allowedModels.includes(model)
}

function namedTargets(world: World, name: string, wanted: Wanted): Target[] {
  const { kind } = wanted
  if (isAuto(name)) return autoTargets(world, wanted)
  const slash = name.indexOf('/')
  const prefixed = slash > 0 ? world.providers.get(name.slice(0, slash)) : undefined
  if (prefixed) {
    const model = name.slice(slash + 1)
    return (
      describedTargets(prefixed, model, kind) ??
      (prefixed.kind === 'node' ? nodeTargets(world, prefixed, { model, kind }) : vendorTargets(prefixed, model, kind))
    )
  }
  const vendors = resolveModel(name)
    .filter((entry) => entry.kind === kind)
    .flatMap((entry) => {
      const provider = world.providers.get(entry.vendor)
      if (!provider || provider.account) return []
      return provider.kind === 'node'
        ? nodeTargets(world, provider, { model: entry.name, kind })
        : [targetOf(provider, entry.name, entry)]
    })
  const nodes = nodesOf(world).filter(({ account }) => !account)
  return [
    ...withBestNodes(world, [
      ...accountTargets(world, name, kind),
      ...vendors,
      ...nodes.flatMap((node) => nodeTargets(world, node, { model: name, kind })),
    ]),
  ]
}

/** Accounts that serve a name without being named themselves: what they are said to have, their vendor or node has. */
function accountTargets(world: World, name: string, kind: CatalogModel['kind']): Target[] {
  return [...world.providers.values()].flatMap((provider) => {
    if (!provider.account) return []
    const described = describedTargets(provider, name, kind)
    if (described) return described
    if (provider.kind === 'node') return nodeTargets(world, provider, { model: name, kind })
    const entry = entryOf(provider, name)
    return entry?.kind === kind ? [targetOf(provider, entry.name, entry)] : []
  })
}

/** Of a model that the account's organisation described; undefined for any other. */
function describedTargets(provider: Provider, model: string, kind: CatalogModel['kind']): Target[] | undefined {
  const entry = describedModel(provider, model)
  return entry && (entry.kind === kind ? [targetOf(provider, model, entry)] : [])
}

/** The vendor of the catalog that a provider is, or is an account with. */
export const vendorOf = ({ name, account }: Provider): string | undefined => (account ? account.vendor : name)

function entryOf(provider: Provider, model: string): CatalogModel | undefined {
  const vendor = vendorOf(provider)
  return vendor === undefined ? undefined : modelOf(vendor, model)
}

function autoTargets(world: World, { kind, needs = [] }: Wanted): Target[] {
  return [...world.providers.values()].flatMap((provider) => {
    if (provider.kind === 'vendor') {
      const model = autoModelOf(vendorOf(provider) ?? '', kind)
      const targets = model === undefined ? describedOf(provider) : vendorTargets(provider, model, kind)
      return targets
        .filter(({ entry }) => (entry?.kind ?? kind) === kind)
        .filter(({ entry }) => needs.every((need) => entry?.capabilities.includes(need) ?? true))
        .slice(0, 1)
    }
    const usable = servedBy(world, provider).filter(
      (model) => canServe(model, kind) && needs.every((need) => model.capabilities?.includes(need) ?? true),
    )
    const chosen = usable.find(({ name }) => name.startsWith('llama3.1')) ?? usable[0]
    return chosen ? [targetOf(provider, chosen.name, undefined)] : []
  })
}

/** An explicit `vendor/model` may name what the catalog has not heard of: the vendor will know. */
export function vendorTargets(provider: Provider, model: string, kind: CatalogModel['kind']): Target[] {
  if (model === '') return []
  const entry = entryOf(provider, model)
  return entry && entry.kind !== kind ? [] : [targetOf(provider, entry?.name ?? model, entry)]
}

/** A node serves what it lists; a name without a tag means `:latest`. */
function nodeTargets(world: World, node: Provider, wanted: Pick<Wanted, 'model' | 'kind'>): Target[] {
  const listed = servedBy(world, node).find(({ name }) => isNameOf(wanted.model, name))
  return listed && canServe(listed, wanted.kind) ? [targetOf(node, listed.name, undefined)] : []
}

export const isNameOf = (asked: string, listed: string): boolean => listed === asked || listed === `${asked}:latest`

/** A node that does not answer serves nothing, whatever it listed before. */
export function servedBy(world: World, node: Provider): readonly ListedModel[] {
  const listing = listingOf(world, node)
  return listing && !listing.failed ? listing.models : []
}

export const canServe = ({ capabilities }: ListedModel, kind: CatalogModel['kind']): boolean =>
  capabilities?.includes(kind === 'chat' ? 'completion' : kind) ?? true

export function targetOf(provider: Provider, model: string, entry: CatalogModel | undefined): Target {
  const readyAtMs = provider.account?.readyAtMs()
  return {
    id: `${provider.name}/${model}`,
    provider,
    model,
    entry,
    price: provider.kind === 'node' ? (entry?.price ?? nodePrice) : entry?.price,
    ...(readyAtMs !== undefined && { readyAtMs }),
  }
}

/** Every model that the account's organisation described. */
export const describedOf = (provider: Provider): Target[] =>
  (provider.account?.models ?? []).map(({ name }) => targetOf(provider, name, describedModel(provider, name)))

/** What a target's breaker goes by: accounts of two organisations may have one name. */
export const breakerOf = ({ id, provider, model }: Target): string =>
  provider.account ? `${provider.account.id}/${model}` : id

export const nodesOf = ({ providers }: Pick<Deps, 'providers'>): Provider[] =>
  [...providers.values()].filter((provider) => provider.kind === 'node')

/** Models that a key may see: everything its configured vendors have in the catalog and its nodes list. */
export function listTargets(world: World, policy: Pick<Policy, 'allowedModels' | 'mode'>): Target[] {
  const all = [...world.providers.values()].flatMap((provider) => {
    const described = describedOf(provider)
    const isDescribed = new Set(described.map(({ model }) => model))
    return [...described, ...knownOf(world, provider).filter(({ model }) => !isDescribed.has(model))]
  })
  return all.filter(
    (target) => (policy.mode === 'live' || target.provider.kind === 'node') && mayUse(world, policy, target),
  )
}

function knownOf(world: World, provider: Provider): Target[] {
  if (provider.kind === 'vendor') {
    return modelsOf(vendorOf(provider) ?? '').map((entry) => targetOf(provider, entry.name, entry))
  }
  const listing: Listing | undefined = listingOf(world, provider)
  return (listing?.models ?? []).map((model) => targetOf(provider, model.name, undefined))
}

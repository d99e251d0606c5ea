import type { Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import type { ListedModel, Provider } from '../../core/models.ts'
import type { PolicyTarget, RoutingPolicy, Strategy } from '../../core/routing.ts'
import { type CatalogModel, modelsOf } from '../catalog/service.ts'
import { autoModelOf } from './auto.ts'
import { chainOf, defaultsFor, type VendorDefaults } from './defaults.ts'
import {
  canServe,
  describedOf,
  MAX_TARGETS,
  narrowed,
  servedAs,
  servedBy,
  type Target,
  targetOf,
  uniqueTargets,
  vendorOf,
  vendorTargets,
  type Wanted,
} from './target.ts'

/** More than that are not weighed for one call. */
export const MOST_CANDIDATES = 50
/** Of these, so many come after what was chosen. */
const MOST_FALLBACKS = 20
/** Behind every fallback. */
const LAST_TIER = MAX_TARGETS

type World = Pick<Deps, 'providers' | 'memory' | 'now'>
type Rights = Pick<Policy, 'allowedModels' | 'mode'>

/** A target that may be chosen, and what governs it. */
export type Candidate = {
  target: Target
  /** What callers call it, beside its own names: a model may be marked by any of them. */
  name?: string
  tier: number
  /** Where it is a fallback, too. */
  fallbackTier?: number
  isSpare: boolean
  /** The caller named it, and is taken at their word that it can do what they want. */
  isTrusted: boolean
  row: VendorDefaults
  /** Its limits come of the built-in list: they bind as long as something else keeps them. */
  isBuiltIn: boolean
  /** What a node says of the model. */
  listed?: ListedModel | undefined
}

export type Candidates = {
  candidates: readonly Candidate[]
  /** What the policy names of providers that are not configured: `provider/model`, or the provider alone. */
  unconfigured?: readonly string[]
  forbidden: boolean
}

/** Strategies that know one model from another, so that every model is worth a look; for the others one speaks for its provider. */
const measured: ReadonlySet<Strategy> = new Set(['cost', 'latency', 'quality', 'smart', 'bandit'])

/** What a strategy may choose from where the model is left to it. */
export function openCandidates(
  world: World,
  policy: Rights & Pick<Policy, 'routing'>,
  { wanted, strategy }: { wanted: Wanted; strategy: Strategy },
): Candidates {
  const { routing } = policy
  const rows: readonly PolicyTarget[] = routing?.targets.length
    ? routing.targets
    : [...world.providers.keys()].map((provider) => ({ provider }))
  const isBuiltIn = !routing?.targets.length
  let isReachable = false
  const served = (targets: readonly Target[], asked: Wanted): readonly Target[] => {
    const found = narrowed(targets, world, policy, asked)
    isReachable ||= found.isReachable
    return found.allowed
  }
  const places = new Map([...world.providers.keys()].map((name, at) => [name, at]))
  const own = rows.toSorted(byModel).flatMap((row) => {
    const provider = world.providers.get(row.provider)
    if (!provider) return []
    const governing = isBuiltIn ? defaultsFor(strategy, vendorOf(provider), places.get(provider.name) ?? 0) : row
    const found = served(modelsFor(world, provider, { row, wanted, strategy }), wanted)
    return found.map((target): Candidate => ({ ...plain(world, target), row: governing, isBuiltIn }))
  })
  const candidates = backed(uniqueCandidates(own), behindThem(world, policy, { routing, wanted, own }))
  const unconfigured = unconfiguredOf(world, rows, wanted)
  return {
    candidates,
    ...(unconfigured.length > 0 && { unconfigured }),
    forbidden: candidates.length === 0 && isReachable,
  }
}

function unconfiguredOf({ providers }: World, rows: readonly PolicyTarget[], { provider: only }: Wanted): string[] {
  const missing = rows.filter(({ provider }) => !providers.has(provider) && (only ?? provider) === provider)
  return [...new Set(missing.map(({ provider, model }) => (model === undefined ? provider : `${provider}/${model}`)))]
}

/** Whoever names a fallback knows what it costs: the built-in list does not keep it out. */
const unlimited = ({ maxCostPerRequestNanoUsd: _request, maxCostPerTokenNanoUsd: _token, ...row }: VendorDefaults) =>
  row

/** Candidates with those behind them; one that is both is chosen first and is a fallback, too. */
function backed(own: readonly Candidate[], behind: readonly Candidate[]): Candidate[] {
  const tiers = new Map(behind.map(({ target, tier, isSpare }) => [target.id, isSpare ? LAST_TIER : tier]))
  const first = own.slice(0, MOST_CANDIDATES - behind.length).map((one): Candidate => {
    const fallbackTier = tiers.get(one.target.id)
    return fallbackTier === undefined
      ? one
      : { ...one, fallbackTier, row: one.isBuiltIn ? unlimited(one.row) : one.row }
  })
  return uniqueCandidates([...first, ...behind])
}

/** Rows that name a model say more of it than those of a whole provider. */
const byModel = (one: PolicyTarget, other: PolicyTarget): number =>
  Number(one.model === undefined) - Number(other.model === undefined)

function plain(world: World, target: Target): Candidate {
  const { provider, model } = target
  const listed = provider.kind === 'node' ? servedBy(world, provider).find(({ name }) => name === model) : undefined
  return { target, tier: 0, isSpare: false, isTrusted: false, row: {}, isBuiltIn: false, ...(listed && { listed }) }
}

/** Each target once, as it came first. */
function uniqueCandidates(candidates: readonly Candidate[]): Candidate[] {
  const seen = new Set<string>()
  return candidates.filter(({ target: { id } }) => !seen.has(id) && seen.add(id))
}

type Row = { row: PolicyTarget; wanted: Wanted; strategy: Strategy }

function modelsFor(world: World, provider: Provider, { row, wanted, strategy }: Row): readonly Target[] {
  const { kind } = wanted
  if (row.model !== undefined) {
    const every: Rights = { allowedModels: undefined, mode: 'live' }
    return servedAs(`${provider.name}/${row.model}`, world, every, wanted).allowed
  }
  const known = provider.kind === 'node' ? ofNode(world, provider, kind) : ofVendor(provider, kind)
  return measured.has(strategy) ? known : known.slice(0, 1)
}

/** The vendor's own choice for `auto` first, then what its account's organisation described, then what has a prior. */
function ofVendor(provider: Provider, kind: CatalogModel['kind']): Target[] {
  const vendor = vendorOf(provider) ?? ''
  const general = autoModelOf(vendor, kind)
  const described = describedOf(provider).filter(({ entry }) => entry?.kind === kind)
  return uniqueTargets([
    ...(general === undefined ? [] : vendorTargets(provider, general, kind)),
    ...described,
    ...priorsOf(vendor)
      .filter((entry) => entry.kind === kind)
      .map((entry) => targetOf(provider, entry.name, entry)),
  ])
}

const priors = new Map<string, readonly CatalogModel[]>()

/** Models of which something is expected. Variants of a model (`:free`) are for those who ask for them by name. */
function priorsOf(vendor: string): readonly CatalogModel[] {
  const known = priors.get(vendor)
  if (known) return known
  const found = modelsOf(vendor).filter(({ prior, deprecated, name }) => prior && !deprecated && !name.includes(':'))
  priors.set(vendor, found)
  return found
}

function ofNode(world: World, node: Provider, kind: CatalogModel['kind']): Target[] {
  const usable = servedBy(world, node).filter((model) => canServe(model, kind))
  const isGeneral = ({ name }: { name: string }): boolean => name.startsWith('llama3.1')
  return [...usable.filter(isGeneral), ...usable.filter((model) => !isGeneral(model))].map(({ name }) =>
    targetOf(node, name, undefined),
  )
}

const namesOf = ({ id, model, provider }: Target) => ({ names: [id, model], vendor: vendorOf(provider) })

type Backing = { routing: RoutingPolicy | undefined; wanted: Wanted; own: readonly Candidate[] }

/**
 * What is asked after what a strategy has chosen: the caller's own fallbacks, each a tier of its own, or else those that
 * the policy has of the models to choose from; and its default model. They have to be able to do it like all others.
 */
function behindThem(world: World, policy: Rights, { routing, wanted, own }: Backing): Candidate[] {
  const served = (name: string): Candidate[] =>
    servedAs(name, world, policy, wanted).allowed.map((target) => ({ ...plain(world, target), name }))
  const callers = wanted.fallbacks?.flatMap((name, at) => served(name).map((one) => ({ ...one, tier: at + 1 })))
  // Who wants one provider wants no other.
  const rules = wanted.provider === undefined ? routing : undefined
  const chains = own.flatMap(({ target }) => (rules ? chainOf(rules.fallbacks, namesOf(target)) : []))
  const fallbacks = callers ?? [...new Set(chains)].flatMap(served).map((one) => ({ ...one, tier: 1 }))
  const last = rules?.defaultModel === undefined ? [] : served(rules.defaultModel)
  const spare = last.map((one) => ({ ...one, isSpare: true }))
  return uniqueCandidates([...uniqueCandidates(fallbacks).slice(0, MOST_FALLBACKS), ...spare])
}

/**
 * What serves a name that was asked for, and those after it: the caller's own fallbacks, or else those of the policy.
 * Every name is a tier of its own, so that none is answered by another as long as it can be answered itself.
 */
export function namedCandidates(
  world: World,
  policy: Rights & Pick<Policy, 'routing'>,
  wanted: Wanted,
): Candidates & { isExtended: boolean } {
  const chain = wanted.fallbacks ?? chainFor(world, policy, wanted)
  const served = [wanted.model, ...chain].map((name) => ({ name, ...servedAs(name, world, policy, wanted) }))
  const all = served.flatMap(({ name, allowed }, tier) => {
    const isTrusted = tier === 0 || wanted.fallbacks !== undefined
    return allowed.map((target) => ({ ...plain(world, target), name, tier, isTrusted }))
  })
  const candidates = uniqueCandidates(all).slice(0, MAX_TARGETS)
  const forbidden = candidates.length === 0 && served.some(({ isReachable }) => isReachable)
  return { candidates, forbidden, isExtended: wanted.fallbacks === undefined && chain.length > 0 }
}

/** The policy's fallbacks of a name; none where the caller wants one provider and no other. */
function chainFor(world: World, policy: Rights & Pick<Policy, 'routing'>, wanted: Wanted): readonly string[] {
  const { model, provider } = wanted
  const fallbacks = policy.routing?.fallbacks
  if (!fallbacks || provider !== undefined) return []
  const [first] = servedAs(model, world, policy, wanted).allowed
  const known = first && namesOf(first)
  return chainOf(fallbacks, { names: [model, ...(known?.names ?? [])], vendor: known?.vendor })
}

import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { type NodeCapability, type NodeHealth, type NodeRuns, nodeCapabilities } from '../../core/node.ts'
import { WINDOW_SECONDS } from './choose.ts'
import { namedIn, type Offer, offersOf, reachedNode, type SeenNode, seenNodes } from './fleet.ts'
import { readTallies, type Tally, together } from './runs.ts'
import type { AvailableModel } from './schema.ts'
import { type ContentType, contentsOf } from './tasks.ts'

/** What is listed is seen anew a little later than what is chosen by. */
const SHOWN_AGE_MS = 60_000
const BYTES_PER_MB = 1_000_000

export const shownNodes = (ctx: Ctx): Promise<SeenNode[]> => seenNodes(ctx, SHOWN_AGE_MS)

/** Offers by the name of their model, those first that can be had now. */
export function byName(offers: readonly Offer[]): [string, [Offer, ...Offer[]]][] {
  const groups = Map.groupBy(offers, ({ model }) => model.name)
  return [...groups].flatMap(([name, group]) => {
    const [first, ...others] = group.toSorted((one, other) => Number(other.isAvailable) - Number(one.isAvailable))
    return first ? [[name, [first, ...others]]] : []
  })
}

export const nodeNames = (group: readonly Offer[]): string[] => [...new Set(group.map(({ provider }) => provider.name))]

/** Models of every node's Ollama, each once; of one node by its id. Throws 404. */
export async function listOllama(ctx: Ctx, nodeId?: string) {
  if (nodeId !== undefined) reachedNode(ctx, nodeId)
  const nodes = (await shownNodes(ctx)).filter(({ link }) => nodeId === undefined || link.id === nodeId)
  const offers = offersOf(ctx, nodes).filter(({ model, isAvailable }) => model.server === 'ollama' && isAvailable)
  return byName(offers).map(([name, group]) => {
    const { sizeMb, modifiedAt, digest, capabilities } = group[0].model
    return {
      name,
      size: sizeMb === undefined ? null : sizeMb * BYTES_PER_MB,
      modified_at: modifiedAt ?? null,
      digest: digest ?? null,
      capabilities: [...capabilities],
      nodes: nodeNames(group),
    }
  })
}

const BEST_FIRST: readonly NodeHealth[] = ['healthy', 'degraded', 'unhealthy', 'unknown']

export async function ollamaHealth(ctx: Ctx) {
  const seen = await shownNodes(ctx)
  const offers = offersOf(ctx, seen).filter(({ model, isAvailable }) => model.server === 'ollama' && isAvailable)
  const chats = offers.filter(({ model }) => model.capabilities.includes('completion'))
  const usual = chats.find(({ model }) => model.name.startsWith('llama3.1')) ?? chats[0]
  return {
    status: BEST_FIRST.find((one) => seen.some(({ state }) => state.health === one)) ?? 'unknown',
    models_available: byName(offers).length,
    default_model: usual?.id ?? null,
    nodes: seen.map(({ provider, link, state }) => ({
      id: link.id,
      name: provider.name,
      status: state.health,
      fault: state.fault ?? null,
      latency_ms: state.latencyMs ?? null,
      models_available: offers.filter((offer) => offer.link.id === link.id).length,
      is_draining: link.isDraining,
    })),
  }
}

type Wanted = { capability?: NodeCapability | undefined; content_type?: ContentType | undefined }

/** Every model that the caller may use, on whatever server of a node, with how calls of it went. */
export async function listAvailable(ctx: Ctx, { capability, content_type }: Wanted): Promise<AvailableModel[]> {
  const nodes = await shownNodes(ctx)
  const tallies = await talliesOf(ctx, nodes)
  return byName(offersOf(ctx, nodes))
    .map(([, group]) => availableView(group, together(tallies.filter((one) => isOf(group, one)))))
    .filter((one) => capability === undefined || one.capabilities.includes(capability))
    .filter((one) => content_type === undefined || one.content_types.includes(content_type))
}

/** How calls of the nodes' models went. Throws `DependencyError('postgres')`. */
export const talliesOf = (
  ctx: Ctx,
  nodes: readonly SeenNode[],
  windowSeconds: number = WINDOW_SECONDS,
): Promise<Tally[]> =>
  readTallies(ctx, {
    providers: nodes.map(({ provider }) => provider.name),
    since: nowSeconds(ctx) - windowSeconds,
  })

const isOf = (group: readonly Offer[], { provider, model }: Tally): boolean =>
  group.some(({ id }) => id === `${provider}/${model}`)

/** A model as the nodes of the group have it, the first of them described. */
export function availableView(group: readonly [Offer, ...Offer[]], runs: NodeRuns | undefined): AvailableModel {
  const [{ model, isAvailable }] = group
  const { family, parameterSize, quantization } = model
  return {
    name: model.name,
    nodes: nodeNames(group),
    capabilities: [...model.capabilities],
    capability_source: model.capabilitySource,
    content_types: contentsOf(model.capabilities),
    performance_metrics: {
      total_requests: runs?.calls ?? 0,
      success_rate: runs ? runs.ok / runs.calls : null,
      average_response_time_ms: runs?.meanMs ?? null,
      average_tokens_per_second: runs?.tokensPerSecond ?? null,
    },
    version: model.digest ?? null,
    size_mb: model.sizeMb ?? null,
    context_length: model.contextLength ?? null,
    loaded: group.some(({ state }) => state.loaded.some(({ name }) => name === model.name)),
    last_used: runs?.lastAt ?? null,
    created_at: model.modifiedAt ?? null,
    is_available: isAvailable,
    tags: [family, parameterSize, quantization].flatMap((tag) => tag || []),
  }
}

/** Models by what they can do, `node/model`, those that are known to before those that should by their name. */
export async function listCapabilities(ctx: Ctx): Promise<Record<string, string[]>> {
  const offers = offersOf(ctx, await shownNodes(ctx)).filter(({ isAvailable }) => isAvailable)
  const guess = ({ model }: Offer): number => (model.capabilitySource === 'name' ? 1 : 0)
  const inOrder = offers.toSorted((one, other) => guess(one) - guess(other))
  return Object.fromEntries(
    nodeCapabilities.map((capability) => [
      capability,
      inOrder.filter(({ model }) => model.capabilities.includes(capability)).map(({ id }) => id),
    ]),
  )
}

/** Has every node looked at now, and tells what is other than when somebody did so before: `node/model`. */
export async function refresh(ctx: Ctx): Promise<Record<'added' | 'removed' | 'changed', string[]>> {
  const seen = await seenNodes(ctx, 0)
  const all = (kind: 'added' | 'removed' | 'changed'): string[] =>
    seen.flatMap(({ provider, state }) => (state.changes?.[kind] ?? []).map((name) => `${provider.name}/${name}`))
  return { added: all('added'), removed: all('removed'), changed: all('changed') }
}

/** How calls of one model went, by its name or `node/model`. Throws 404 for one that nobody has and nobody has called. */
export async function modelStats(ctx: Ctx, name: string, windowHours: number) {
  const nodes = await shownNodes(ctx)
  const offers = namedIn(offersOf(ctx, nodes), name)
  const isMeant = ({ provider, model }: Tally): boolean =>
    [model, `${provider}/${model}`].some((one) => one === name || one === `${name}:latest`)
  const tallies = (await talliesOf(ctx, nodes, windowHours * 3600)).filter(isMeant)
  if (offers.length === 0 && tallies.length === 0) throw notFound('model')
  return { name, nodes: nodeNames(offers), tallies }
}

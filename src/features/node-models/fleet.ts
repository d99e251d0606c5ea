import type { Ctx } from '../../core/context.ts'
import { AppError, DependencyError, notFound } from '../../core/errors.ts'
import type { Looked } from '../../core/gate.ts'
import type { Provider } from '../../core/models.ts'
import type { NodeLink, NodeModel } from '../../core/node.ts'
import { within } from '../../core/within.ts'
import { unseen } from '../gates/service.ts'

/** What was seen so long ago is good enough to choose by; the watch looks every half a minute. */
export const GOOD_ENOUGH_MS = 45_000
/** A node that cannot be seen in that time has nothing to offer now. */
const LOOK_MS = 10_000

/** A node that the caller reaches, and what its watch knows. */
export type SeenNode = { provider: Provider; link: NodeLink; state: Looked }

/** A model on a node. */
export type Offer = SeenNode & {
  /** `node/model`. */
  id: string
  model: NodeModel
  /** Whether a call could go there now. */
  isAvailable: boolean
}

export type Fleet = Pick<Ctx, 'providers' | 'gateOf' | 'log' | 'admission'>

type Reached = Omit<SeenNode, 'state'>

/** The nodes that the caller's policy reaches, in order of preference; nobody else's are among them. */
const reached = ({ providers }: Pick<Ctx, 'providers'>): Reached[] =>
  [...providers.values()].flatMap((provider) => (provider.node ? [{ provider, link: provider.node }] : []))

/** One of them by its id. Throws 404. */
export function reachedNode(ctx: Pick<Ctx, 'providers'>, id: string): Reached {
  const found = reached(ctx).find(({ link }) => link.id === id)
  if (!found) throw notFound('node')
  return found
}

/** All of them as they were seen at most so long ago. One whose watch cannot be reached is unknown and has nothing. */
export const seenNodes = (world: Fleet, maxAgeMs = GOOD_ENOUGH_MS): Promise<SeenNode[]> =>
  Promise.all(reached(world).map((node) => seenNode(world, node, maxAgeMs)))

export async function seenNode(
  { gateOf, log }: Pick<Ctx, 'gateOf' | 'log'>,
  node: Reached,
  maxAgeMs: number,
): Promise<SeenNode> {
  const { link } = node
  const nothing = { ...node, state: unseen({ inFlight: {}, waiting: 0 }) }
  try {
    const looking = gateOf(link.id).look({ target: link.watch, maxAgeMs })
    const state = await within(looking, LOOK_MS)
    return state ? { ...node, state } : nothing
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    log.warn('node_watch_away', { node_id: link.id, cause: String(error.cause) })
    return nothing
  }
}

/** The models that these nodes have and the caller may use. */
export function offersOf(world: Pick<Ctx, 'providers' | 'admission'>, nodes: readonly SeenNode[]): Offer[] {
  return nodes.flatMap((node) => {
    const isAvailable = isThere(node)
    return node.state.models.flatMap((model) => {
      const id = `${node.provider.name}/${model.name}`
      return mayUse(world, { id, name: model.name }) ? [{ ...node, id, model, isAvailable }] : []
    })
  })
}

/** What hears and speaks on the nodes that have a speech server, as far as calls could go there now. */
export async function speechOffers(world: Fleet): Promise<Offer[]> {
  const providers = new Map([...world.providers].filter(([, { node }]) => node?.endpoints.speechUrl))
  const offers = offersOf(world, await seenNodes({ ...world, providers }))
  return offers.filter(({ model, isAvailable }) => model.server === 'speech' && isAvailable)
}

const isThere = ({ state: { health, fault }, link: { isDraining } }: SeenNode): boolean =>
  health !== 'unhealthy' && fault === undefined && !isDraining

/** A key's list names targets (`node/model`), or models whoever serves them. */
function mayUse(
  { providers, admission }: Pick<Ctx, 'providers' | 'admission'>,
  { id, name }: { id: string; name: string },
): boolean {
  const allowed = admission.policy.allowedModels
  if (allowed === undefined || allowed.includes(id)) return true
  // Some models have a slash in their name, and what is before it may be another provider.
  const namesAnother = providers.has(name.slice(0, Math.max(0, name.indexOf('/'))))
  return !namesAnother && allowed.includes(name)
}

/** Those that a name means: `node/model`, or a model whichever node has it; a name without a tag means `:latest`. */
export const namedIn = (offers: readonly Offer[], name: string): Offer[] =>
  offers.filter(({ id, model }) => [id, model.name].some((one) => one === name || one === `${name}:latest`))

export const noSuchModel = (name: string): AppError =>
  new AppError('model_not_found', `No node has a model ${name.slice(0, 200)}.`, { param: 'model' })

import { createHash } from 'node:crypto'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError, DependencyError } from '../../core/errors.ts'
import type { NodeCapability, NodeRuns } from '../../core/node.ts'
import type { TaskType } from '../../core/tasks.ts'
import { namedIn, noSuchModel, type Offer, offersOf, type SeenNode, seenNodes } from './fleet.ts'
import { readTallies, type Tally, together } from './runs.ts'
import type { Candidate } from './score.ts'
import { type Selection, select, type Wanted } from './select.ts'
import { answers, isAkin } from './tasks.ts'

/** What was measured is looked up again after so long, for one and the same question. */
const KEPT_MS = 10 * 60_000
const MOST_KEPT = 300
/** How far back calls count. */
export const WINDOW_SECONDS = 7 * 86_400
const ENOUGH_RUNS = 10
const RETRY_SECONDS = 30

export type Choice = { selection: Selection; offerOf: (id: string) => Offer }

type World = Pick<Ctx, 'providers' | 'gateOf' | 'log' | 'admission' | 'memory' | 'now' | 'db' | 'caller'>

export type ChoiceWish = Wanted & {
  /** By this name alone: `node/model`, or a model whichever node has it. */
  modelName?: string | undefined
  /** Its figures are wanted, also where there is no choice. */
  isMeasured?: true
}

/**
 * The best model for a task among those of the nodes that the caller reaches. Throws 404 `model_not_found` and 400
 * `wrong_capability` for a model that was named, and 503 `no_capable_model` where nothing can do it now.
 */
export async function choose(ctx: World, wish: ChoiceWish): Promise<Choice> {
  const nodes = await seenNodes(ctx)
  const able = named(offersOf(ctx, nodes), wish)
  const candidates = await candidatesOf(ctx, { offers: able, nodes, wish })
  const selection = select(candidates, wish, nowSeconds(ctx))
  if (!selection) throw noCapableModel(wish.capability)
  const byId = new Map(able.map((offer) => [offer.id, offer]))
  const offerOf = (id: string): Offer => {
    const offer = byId.get(id)
    if (!offer) throw new Error(`nothing offers ${id}`)
    return offer
  }
  return { selection, offerOf }
}

/** Those that could do it now; of a model that was named, it and no other. */
function named(offers: readonly Offer[], { modelName, capability }: ChoiceWish): Offer[] {
  const asked = modelName === undefined ? offers : namedIn(offers, modelName)
  if (modelName !== undefined && asked.length === 0) throw noSuchModel(modelName)
  const able = asked.filter(({ model }) => model.capabilities.includes(capability) && answers(model.server, capability))
  if (modelName !== undefined && able.length === 0) {
    throw new AppError('wrong_capability', `${modelName} is not able to do this: it lacks ${capability}.`, {
      param: 'model',
      details: { capability },
    })
  }
  return able.filter(({ isAvailable }) => isAvailable)
}

export const noCapableModel = (capability: NodeCapability): AppError =>
  new AppError('no_capable_model', `No model that is able to do this is available now: ${capability}.`, {
    details: { capability },
    retryAfterSeconds: RETRY_SECONDS,
  })

type Asked = { offers: readonly Offer[]; nodes: readonly SeenNode[]; wish: ChoiceWish }

async function candidatesOf(ctx: World, { offers, nodes, wish }: Asked): Promise<Candidate[]> {
  // Where there is no choice nothing has to be looked up.
  const runs = offers.length < 2 && !wish.isMeasured ? new Map<string, NodeRuns>() : await runsFor(ctx, { nodes, wish })
  return offers.map(({ id, model, state, link }) => ({
    id,
    model,
    state,
    atOnce: link.limits.gpu_tasks,
    runs: runs.get(id),
  }))
}

/** How calls of their models went: remembered for a while, as long as the nodes are as they were. */
async function runsFor(
  ctx: World,
  { nodes, wish }: Pick<Asked, 'nodes' | 'wish'>,
): Promise<ReadonlyMap<string, NodeRuns>> {
  const { memory, now, caller } = ctx
  const key = JSON.stringify([caller.orgId, wish])
  const digest = digestOf(nodes)
  const known = memory.choices.get(key)
  if (known && known.digest === digest && known.untilMs > now()) return known.runs
  try {
    const runs = await readRuns(ctx, nodes, wish.taskType)
    memory.choices.delete(key)
    memory.choices.set(key, { digest, runs, untilMs: now() + KEPT_MS })
    for (const [oldest] of memory.choices) {
      if (memory.choices.size <= MOST_KEPT) break
      memory.choices.delete(oldest)
    }
    return runs
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    ctx.log.warn('model_runs_not_read', { cause: String(error.cause) })
    return known?.runs ?? new Map()
  }
}

export async function readRuns(
  ctx: Pick<Ctx, 'db' | 'caller' | 'now'>,
  nodes: readonly SeenNode[],
  taskType: TaskType,
): Promise<ReadonlyMap<string, NodeRuns>> {
  const providers = nodes.map(({ provider }) => provider.name)
  const tallies = await readTallies(ctx, { providers, since: nowSeconds(ctx) - WINDOW_SECONDS })
  const byModel = Map.groupBy(tallies, ({ provider, model }) => `${provider}/${model}`)
  const runs = [...byModel].map(([id, some]) => [id, runsOf(some, taskType)] as const)
  return new Map(runs.flatMap(([id, one]) => (one ? [[id, one]] : [])))
}

/** Of the task itself where there are enough, else of all tasks that ask the same of a model. */
export function runsOf(tallies: readonly Tally[], taskType: TaskType): NodeRuns | undefined {
  const own = together(tallies.filter((one) => one.taskType === taskType))
  if (own && own.calls >= ENOUGH_RUNS) return own
  return together(tallies.filter((one) => isAkin(one.taskType, taskType)))
}

/** What a choice depends on, but for what changes with every call. */
function digestOf(nodes: readonly SeenNode[]): string {
  const seen = nodes.map(({ link, provider, state: { health, fault, models, loaded } }) => [
    link.id,
    provider.name,
    link.isDraining,
    health,
    fault,
    models.map(({ name, server, digest, capabilities, capabilitySource }) => [
      name,
      server,
      digest,
      capabilities,
      capabilitySource,
    ]),
    loaded.map(({ name }) => name),
  ])
  return createHash('sha256').update(JSON.stringify(seen)).digest('base64url')
}

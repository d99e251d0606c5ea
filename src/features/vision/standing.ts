import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import type { NodeCapability } from '../../core/node.ts'
import { imageFormats } from '../media/service.ts'
import { type Offer, offersOf, seenNodes } from '../node-models/service.ts'
import { boxUnitOf } from './boxes.ts'
import type { HealthView, ModelsView } from './schema.ts'

const can =
  (capability: NodeCapability) =>
  ({ model, isAvailable }: Offer): boolean =>
    isAvailable && model.capabilities.includes(capability)

/** Models that see, and those that place pictures in a space, on nodes that the caller reaches and that answer now. */
export async function modelsOf(ctx: Ctx): Promise<ModelsView> {
  const offers = offersOf(ctx, await seenNodes(ctx)).filter(
    (offer) => can('vision')(offer) || can('image_embedding')(offer),
  )
  const models = offers.map(({ id, provider, model, state }) => ({
    id,
    node: provider.name,
    name: model.name,
    capabilities: [...model.capabilities],
    capability_source: model.capabilitySource,
    box_unit: boxUnitOf(model.name),
    loaded: state.loaded.some(({ name }) => name === model.name),
    size_mb: model.sizeMb ?? null,
    context_length: model.contextLength ?? null,
  }))
  return { object: 'vision.models', models, total_models: models.length, retrieved_at: nowSeconds(ctx) }
}

export async function healthOf(ctx: Ctx): Promise<HealthView> {
  const nodes = await seenNodes(ctx)
  const offers = offersOf(ctx, nodes)
  const seeing = offers.filter(can('vision')).length
  const sum = (of: (node: (typeof nodes)[number]) => number): number => nodes.reduce((all, node) => all + of(node), 0)
  return {
    object: 'vision.health',
    status: seeing > 0 ? 'healthy' : 'unavailable',
    max_concurrent_tasks: sum(({ link: { limits } }) => Math.min(limits.vision, limits.gpu_tasks)),
    in_flight: sum(({ state }) => state.inFlight.vision ?? 0),
    queued: sum(({ state }) => state.waiting),
    formats: [...imageFormats],
    models_available: seeing,
    image_embedding: offers.some(can('image_embedding')),
  }
}

import type * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import type { NodeCapability } from '../../core/node.ts'
import { soundFormats } from '../media/service.ts'
import { offersOf, seenNodes } from '../node-models/service.ts'
import type { HealthView, ModelsView } from './schema.ts'

const heard: readonly NodeCapability[] = [
  'transcription',
  'translation',
  'speech',
  'diarization',
  'audio_classification',
  'audio_chat',
]

const hears = (capabilities: readonly NodeCapability[]): NodeCapability[] =>
  heard.filter((one) => capabilities.includes(one))

/** Every model of the caller's nodes that has to do with sounds. */
export async function modelsOf(ctx: Ctx): Promise<z.input<typeof ModelsView>> {
  const models = offersOf(ctx, await seenNodes(ctx)).flatMap(({ model, provider, isAvailable }) => {
    const capabilities = hears(model.capabilities)
    if (capabilities.length === 0) return []
    const { name, server, capabilitySource } = model
    const facts = { server, capabilities, capability_source: capabilitySource, is_available: isAvailable }
    return [{ name, node: provider.name, ...facts }]
  })
  return { models, total_models: models.length }
}

/** What can be done with sounds now, and how much of it is under way. */
export async function healthOf(ctx: Ctx): Promise<z.input<typeof HealthView>> {
  const nodes = await seenNodes(ctx)
  const offers = offersOf(ctx, nodes).filter(({ isAvailable }) => isAvailable)
  const models = Object.fromEntries(
    heard.flatMap((capability) => {
      const able = offers.filter(({ model }) => model.capabilities.includes(capability)).map(({ id }) => id)
      return able.length > 0 ? [[capability, able] as const] : []
    }),
  )
  const sum = (count: (node: (typeof nodes)[number]) => number): number =>
    nodes.reduce((total, node) => total + count(node), 0)
  const hasEar = (models.transcription?.length ?? 0) > 0
  const hasVoice = (models.speech?.length ?? 0) > 0
  return {
    status: hasEar && hasVoice ? 'healthy' : Object.keys(models).length > 0 ? 'degraded' : 'unavailable',
    formats: [...soundFormats],
    max_concurrent_tasks: sum(({ link }) => link.limits.audio),
    in_flight: sum(({ state }) => state.inFlight.audio ?? 0),
    queued: sum(({ state }) => state.waiting),
    models,
  }
}

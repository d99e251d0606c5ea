import type { Ctx } from '../../core/context.ts'
import type { Provider } from '../../core/models.ts'
import type { CapabilitySource, NodeCapability, NodeServer } from '../../core/node.ts'
import type { TaskType } from '../../core/tasks.ts'
import { listingOf, relearnNodes } from '../routing/service.ts'
import { type Choice, choose } from './choose.ts'
import type { Offer } from './fleet.ts'
import type { SelectionPriority } from './score.ts'
import { largestThatFits } from './speech.ts'

export { type Offer, offersOf, seenNodes, speechOffers } from './fleet.ts'

export type ModelWish = {
  taskType: TaskType
  capability: NodeCapability
  /** What the caller named: it and no other, where it can do it. */
  modelName?: string | undefined
  /** `balanced` unless said. */
  priority?: SelectionPriority | undefined
  /** Tokens that have to fit. */
  contextLength?: number | undefined
}

/** `model` and `fallbacks` are as a call names them: `node/model`. */
export type SelectedModel = { model: string; fallbacks: string[]; source: CapabilitySource }

/**
 * The model of the team's own nodes that does a task best now. Throws 404 `model_not_found` and 400 `wrong_capability`
 * for one that was named, and 503 `no_capable_model` with the capability where there is none.
 */
export async function selectModel(ctx: Ctx, wish: ModelWish): Promise<SelectedModel> {
  const { selection, offerOf } = await choose(ctx, { ...wish, priority: wish.priority ?? 'balanced' })
  const { chosen, fallbacks } = selection
  await makeKnown(ctx, offerOf(chosen.id))
  return { model: chosen.id, fallbacks: fallbacks.map(({ id }) => id), source: chosen.model.capabilitySource }
}

/** A model that is there since a moment ago is not yet known to those who send calls. */
async function makeKnown(ctx: Ctx, { provider, model }: Offer): Promise<void> {
  const listing = listingOf(ctx, provider)
  const isKnown = listing?.models.some(({ name }) => name === model.name)
  if (listing && !isKnown) await relearnNodes(ctx, 1)
}

/** `provider.node` is how to reach it; `model` is the server's own name of it. */
export type SelectedSpeech = {
  provider: Provider
  model: string
  server: NodeServer
  source: CapabilitySource
}
export type SpeechCapability = Extract<
  NodeCapability,
  'transcription' | 'translation' | 'speech' | 'diarization' | 'audio_classification' | 'image_embedding' | 'rerank'
>

const taskOf: Readonly<Record<SpeechCapability, TaskType>> = {
  transcription: 'audio_transcription',
  translation: 'audio_transcription',
  speech: 'audio_analysis',
  diarization: 'audio_analysis',
  audio_classification: 'audio_analysis',
  image_embedding: 'image_analysis',
  rerank: 'semantic_search',
}

/**
 * The same for what the other servers of a node do; without a name, what is said is written down by the largest model
 * that fits. Throws as `selectModel` does.
 */
export async function speechProvider(
  ctx: Ctx,
  capability: SpeechCapability,
  modelName?: string,
): Promise<SelectedSpeech & { fallbacks: SelectedSpeech[] }> {
  const choice = await choose(ctx, { taskType: taskOf[capability], capability, modelName, priority: 'balanced' })
  const [first, ...others] = inOrder(choice, capability)
  const asSelected = ({ provider, model }: Offer): SelectedSpeech => ({
    provider,
    model: model.name,
    server: model.server,
    source: model.capabilitySource,
  })
  return { ...asSelected(first), fallbacks: others.map(asSelected) }
}

function inOrder({ selection, offerOf }: Choice, capability: SpeechCapability): [Offer, ...Offer[]] {
  const { chosen, fallbacks, others } = selection
  const offers: [Offer, ...Offer[]] = [offerOf(chosen.id), ...[...fallbacks, ...others].map(({ id }) => offerOf(id))]
  return capability === 'transcription' || capability === 'translation' ? largestThatFits(offers) : offers
}

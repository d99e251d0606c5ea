import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { type SpeechCapability, selectModel, speechProvider } from '../node-models/service.ts'
import type { Chosen } from './calling.ts'

/** OpenAI's own names of models that hear or speak: whoever uses them means the best that is here. */
const KNOWN_NAMES =
  /^(?:whisper-1|gpt-transcribe|gpt-4o-(?:mini-)?transcribe(?:-diarize)?|tts-1(?:-hd)?|gpt-4o-mini-tts)(?:-\d{4}(?:-\d\d-\d\d)?)?$/

/** The model that a caller named; undefined where the choice is left to us. */
const namedBy = (model: string | undefined): string | undefined =>
  model === undefined || model === 'auto' || KNOWN_NAMES.test(model) ? undefined : model

/** The best model on the nodes for a capability. Throws 400 `wrong_capability`, 404 `model_not_found` and 503 `no_capable_model`. */
export const choose = (ctx: Ctx, capability: SpeechCapability, model: string | undefined): Promise<Chosen> =>
  speechProvider(ctx, capability, namedBy(model))

/** Only these does Ollama read. */
const OLLAMA_READS: ReadonlySet<string> = new Set(['wav', 'mp3'])

/**
 * What writes down speech: a speech server, or else a model of Ollama's that hears, which knows the text and nothing of
 * times. Throws as `choose`.
 */
export async function chooseHearer(
  ctx: Ctx,
  { model, format }: { model: string | undefined; format: string },
): Promise<Chosen> {
  try {
    return await choose(ctx, 'transcription', model)
  } catch (error) {
    const isOpen = error instanceof AppError && (error.code === 'no_capable_model' || error.code === 'wrong_capability')
    const chosen = isOpen && OLLAMA_READS.has(format) ? await chooseOnOllama(ctx, model) : undefined
    if (chosen) return chosen
    throw error
  }
}

async function chooseOnOllama(ctx: Ctx, model: string | undefined): Promise<Chosen | undefined> {
  try {
    const wish = { taskType: 'audio_transcription', capability: 'audio_chat', modelName: namedBy(model) } as const
    const selected = await selectModel(ctx, wish)
    const [first, ...fallbacks] = [selected.model, ...selected.fallbacks].flatMap((id) => targetOf(ctx, id))
    return first && { ...first, fallbacks }
  } catch (error) {
    if (error instanceof AppError) return undefined
    throw error
  }
}

/** From `node/model`. */
function targetOf({ providers }: Ctx, id: string) {
  const slash = id.indexOf('/')
  const provider = providers.get(id.slice(0, slash))
  return provider ? [{ provider, model: id.slice(slash + 1), server: 'ollama' as const }] : []
}

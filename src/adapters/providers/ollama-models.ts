import { type ListedModel, UpstreamError } from '../../core/models.ts'
import { countOf, isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'

/** What is listed is kept by every isolate, and an organisation's node may say anything. */
const MOST_MODELS = 1000
const NAME_MAX_CHARS = 255
const MOST_WORDS = 32
const WORD_MAX_CHARS = 64

/** A node's model; `complete` is false where the server is too old to list capabilities (before 0.30). */
export type TaggedModel = { model: ListedModel; complete: boolean }

/** The answer of `/api/tags`. Throws `UpstreamError('garbage')` when it is none. */
export function taggedModels(parsed: unknown): TaggedModel[] {
  if (!isObject(parsed) || !Array.isArray(parsed.models)) {
    throw new UpstreamError('garbage', 'The answer has no list of models.')
  }
  return objectsOf(parsed.models.slice(0, MOST_MODELS)).flatMap((entry) => {
    const name = stringOf(entry.name) ?? stringOf(entry.model)
    if (!name || name.length > NAME_MAX_CHARS) return []
    const details = isObject(entry.details) ? entry.details : {}
    const capabilities = wordsOf(entry.capabilities)
    const model = { name, capabilities, contextWindow: countOf(details.context_length) }
    return [{ model, complete: capabilities !== undefined }]
  })
}

/** What `/api/show` adds to a model that `/api/tags` told too little about. */
export function withShown(model: ListedModel, shown: unknown): ListedModel {
  if (!isObject(shown)) return model
  return {
    name: model.name,
    capabilities: model.capabilities ?? wordsOf(shown.capabilities),
    contextWindow: model.contextWindow ?? windowIn(shown.model_info),
  }
}

/** The key carries the architecture's name: `llama.context_length`. */
function windowIn(info: unknown): number | undefined {
  if (!isObject(info)) return undefined
  const entry = Object.entries(info).find(([key]) => key.endsWith('.context_length'))
  return countOf(entry?.[1])
}

const wordsOf = (value: unknown): string[] | undefined =>
  Array.isArray(value)
    ? value.slice(0, MOST_WORDS).filter((word) => typeof word === 'string' && word.length <= WORD_MAX_CHARS)
    : undefined

/** The vectors of one `/api/embed` answer. Throws `UpstreamError('garbage')` unless there is one for each input. */
export function embeddedVectors(parsed: JsonObject, inputs: number): number[][] {
  const list = Array.isArray(parsed.embeddings) ? parsed.embeddings : []
  const vectors = list.filter(isVector)
  if (list.length !== inputs || vectors.length !== inputs) {
    throw new UpstreamError('garbage', `The answer does not have one vector for each of ${inputs} inputs.`)
  }
  return vectors
}

const isVector = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'number')

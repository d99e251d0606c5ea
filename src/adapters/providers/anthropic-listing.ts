import { type ListedModel, UpstreamError } from '../../core/models.ts'
import { countOf, isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'

/** What the vendor says of a model, and what we call it. Every model completes and calls tools. */
const named: Readonly<Record<string, string>> = {
  image_input: 'vision',
  structured_outputs: 'json_schema',
  thinking: 'reasoning',
}

export type ModelPage = { models: ListedModel[]; nextAfter: string | undefined }

/** One page of the vendor's models. Throws `UpstreamError('garbage')` when it is none. */
export function modelPage(parsed: unknown): ModelPage {
  if (!isObject(parsed) || !Array.isArray(parsed.data)) {
    throw new UpstreamError('garbage', 'The answer has no list of models.')
  }
  const models = objectsOf(parsed.data).flatMap((entry): ListedModel[] => {
    const name = stringOf(entry.id)
    if (!name) return []
    return [{ name, capabilities: capabilitiesOf(entry), contextWindow: countOf(entry.max_input_tokens) }]
  })
  return { models, nextAfter: parsed.has_more === true ? stringOf(parsed.last_id) || undefined : undefined }
}

function capabilitiesOf({ capabilities }: JsonObject): string[] | undefined {
  if (!isObject(capabilities)) return undefined
  const extra = Object.entries(named).flatMap(([field, name]) => {
    const told = capabilities[field]
    return isObject(told) && told.supported === true ? [name] : []
  })
  return ['completion', 'tools', ...extra]
}

import { countOf, isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'

/** OpenAI's `logprobs` of a choice; undefined when the candidate has none. */
export function logprobsIn({ logprobsResult }: JsonObject): JsonObject | undefined {
  if (!isObject(logprobsResult)) return undefined
  const alternatives = objectsOf(logprobsResult.topCandidates)
  const content = objectsOf(logprobsResult.chosenCandidates).map((chosen, position) => ({
    ...tokenOf(chosen),
    top_logprobs: objectsOf(alternatives[position]?.candidates).map(tokenOf),
  }))
  return content.length === 0 ? undefined : { content, refusal: null }
}

function tokenOf(entry: JsonObject): JsonObject {
  const token = stringOf(entry.token) ?? ''
  return { token, logprob: entry.logProbability ?? 0, bytes: [...new TextEncoder().encode(token)] }
}

/**
 * Sources of a grounded answer as OpenAI's annotations: one for each source of each passage. Gemini's indexes count
 * bytes of the text, OpenAI's count characters.
 */
export function annotationsIn({ groundingMetadata }: JsonObject, text: string): JsonObject[] {
  if (!isObject(groundingMetadata)) return []
  const sources = objectsOf(groundingMetadata.groundingChunks)
  const bytes = new TextEncoder().encode(text)
  const charactersIn = (end: number) => new TextDecoder().decode(bytes.subarray(0, end)).length
  return objectsOf(groundingMetadata.groundingSupports).flatMap((support) => {
    const segment = isObject(support.segment) ? support.segment : {}
    const start_index = charactersIn(countOf(segment.startIndex) ?? 0)
    const end_index = charactersIn(countOf(segment.endIndex) ?? 0)
    return indexesIn(support.groundingChunkIndices).flatMap((index) => {
      const source = sources[index]?.web
      const url = isObject(source) ? stringOf(source.uri) : undefined
      if (!isObject(source) || url === undefined) return []
      return [
        { type: 'url_citation', url_citation: { url, title: stringOf(source.title) ?? '', start_index, end_index } },
      ]
    })
  })
}

const indexesIn = (list: unknown): number[] =>
  Array.isArray(list) ? list.filter((index) => countOf(index) !== undefined) : []

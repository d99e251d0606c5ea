import type { EmbeddingRequest } from './request.ts'
import { countTokens, seedOf } from './words.ts'

const nativeDimensions: Record<string, number> = { 'text-embedding-3-large': 3072 }
const defaultDimensions = 1536

const inputsOf = ({ input }: EmbeddingRequest): (string | number[])[] => {
  if (typeof input === 'string') return [input]
  return typeof input[0] === 'number' ? [input.map(Number)] : input.filter((one) => typeof one !== 'number')
}

/** A unit vector that depends on the text alone: equal texts are equal, other texts are nearly orthogonal. */
function vectorOf(text: string, dimensions: number): Float32Array {
  let state = seedOf(text) || 1
  const vector = Float32Array.from({ length: dimensions }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 0x8000_0000 - 1
  })
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

const rendered = new Map<string, string>()
const renderedLimit = 500

/** The vector as JSON: making one costs more than all the rest of a request, so equal texts are made once. */
function vectorJson(text: string, dimensions: number, format: 'float' | 'base64'): string {
  const key = `${format}|${dimensions}|${text}`
  const known = rendered.get(key)
  if (known !== undefined) return known
  const vector = vectorOf(text, dimensions)
  const json =
    format === 'base64' ? `"${Buffer.from(vector.buffer).toString('base64')}"` : `[${Array.from(vector).join(',')}]`
  if (rendered.size >= renderedLimit) rendered.clear()
  rendered.set(key, json)
  return json
}

export const embeddingText = (request: EmbeddingRequest): string =>
  inputsOf(request)
    .map((one) => (typeof one === 'string' ? one : ''))
    .join('\n')

export const embeddingTokens = (request: EmbeddingRequest): number =>
  inputsOf(request).reduce(
    (sum, one) => sum + (typeof one === 'string' ? Math.max(1, countTokens(one)) : one.length),
    0,
  )

/** The answer to an embeddings request; `promptTokens` undefined leaves `usage` out. */
export function embeddingBody(request: EmbeddingRequest, model: string, promptTokens: number | undefined): string {
  const dimensions = request.dimensions ?? nativeDimensions[request.model] ?? defaultDimensions
  const format = request.encoding_format ?? 'float'
  const data = inputsOf(request).map((one, index) => {
    const text = typeof one === 'string' ? one : one.join(' ')
    return `{"object":"embedding","index":${index},"embedding":${vectorJson(text, dimensions, format)}}`
  })
  const usage =
    promptTokens === undefined ? '' : `,"usage":{"prompt_tokens":${promptTokens},"total_tokens":${promptTokens}}`
  return `{"object":"list","data":[${data.join(',')}],"model":${JSON.stringify(model)}${usage}}`
}

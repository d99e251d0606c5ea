import { UpstreamError, type WireUsage } from '../../core/models.ts'
import { withoutAccount } from './account-words.ts'
import { withoutProject } from './gemini-errors.ts'
import { countOf, isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'
import { argumentsText, newCallId } from './openai-message.ts'
import type { ErrorSource } from './upstream-http.ts'
import { normalUsage } from './usage.ts'

type Signed = { extra_content?: { google: { thought_signature: string } } }

export type GeminiCall = { id: string; type: 'function'; function: { name: string; arguments: string } } & Signed
export type GeminiImage = { type: 'image_url'; image_url: { url: string } } & Signed

/** What the parts of one candidate say, in OpenAI's words; the signature is of the text. */
export type Said = { text: string; thoughts: string; calls: GeminiCall[]; images: GeminiImage[] } & Signed

/**
 * Reads a candidate's parts. A signature stays with its call or image; one of a text, also of an empty one, is the
 * message's. Kinds of parts that nobody asked for are passed over.
 * Throws `UpstreamError('garbage')` for a call without a name or in pieces, which only Vertex AI sends, when asked.
 */
export function saidBy(candidate: JsonObject): Said {
  const said: Said = { text: '', thoughts: '', calls: [], images: [] }
  const content = isObject(candidate.content) ? candidate.content : {}
  for (const part of objectsOf(content.parts)) {
    const signature = signatureOf(part)
    const text = stringOf(part.text)
    if (isObject(part.functionCall)) said.calls.push({ ...callOf(part.functionCall), ...signature })
    else if (part.thought === true) said.thoughts += text ?? ''
    else if (isObject(part.inlineData)) said.images.push({ ...imageOf(part.inlineData), ...signature })
    else {
      said.text += text ?? ''
      Object.assign(said, signature)
    }
  }
  return said
}

function signatureOf(part: JsonObject): Signed {
  const signature = stringOf(part.thoughtSignature) || stringOf(part.thought_signature)
  return signature ? { extra_content: { google: { thought_signature: signature } } } : {}
}

function callOf(call: JsonObject): GeminiCall {
  const name = stringOf(call.name)
  if (!name || call.willContinue === true || Array.isArray(call.partialArgs)) {
    throw new UpstreamError('garbage', 'The answer has a tool call without a name, or in pieces.')
  }
  const args = argumentsText(call.args)
  return { id: stringOf(call.id) || newCallId(), type: 'function', function: { name, arguments: args || '{}' } }
}

const imageOf = ({ mimeType, data }: JsonObject): GeminiImage => ({
  type: 'image_url',
  image_url: { url: `data:${stringOf(mimeType) ?? 'image/png'};base64,${stringOf(data) ?? ''}` },
})

/** The fields of a message or a delta, apart from role and text. */
export function fieldsOf({ thoughts, images, extra_content }: Said): JsonObject {
  return {
    ...(thoughts === '' ? {} : { reasoning_content: thoughts }),
    ...(images.length === 0 ? {} : { images }),
    ...(extra_content === undefined ? {} : { extra_content }),
  }
}

const filtered = new Set([
  'SAFETY',
  'RECITATION',
  'LANGUAGE',
  'BLOCKLIST',
  'PROHIBITED_CONTENT',
  'SPII',
  'IMAGE_SAFETY',
  'IMAGE_PROHIBITED_CONTENT',
  'IMAGE_RECITATION',
  'IMAGE_OTHER',
])

/** The model or its server went wrong: what there is of the answer is not one. */
const failed = new Set([
  'MALFORMED_FUNCTION_CALL',
  'UNEXPECTED_TOOL_CALL',
  'TOO_MANY_TOOL_CALLS',
  'MISSING_THOUGHT_SIGNATURE',
  'MALFORMED_RESPONSE',
  'NO_IMAGE',
  'OTHER',
])

/** Gemini says `STOP` also after calls. A reason that is not known ends an answer like any other. */
export function finishReasonOf(native: string, calledTools: boolean): string {
  if (native === 'MAX_TOKENS') return 'length'
  if (filtered.has(native)) return 'content_filter'
  return calledTools ? 'tool_calls' : 'stop'
}

/** The error in a candidate's `finishReason`; undefined for one that ends an answer. */
export function failureIn(candidate: JsonObject, source: ErrorSource): UpstreamError | undefined {
  const native = stringOf(candidate.finishReason) ?? ''
  if (!failed.has(native)) return undefined
  const told = withoutProject(stringOf(candidate.finishMessage)?.slice(0, 500) ?? '')
  const message = told || `The model's answer ended with ${native}.`
  const vendor = { message, type: 'upstream_error', param: null, code: native.toLowerCase() }
  return new UpstreamError('reported', `${source.name} ended its answer with ${native}.`, {
    vendor: withoutAccount(vendor, source),
  })
}

/** Why there are no candidates; undefined when the prompt was not blocked. */
export function blockReasonOf({ promptFeedback }: JsonObject): string | undefined {
  return isObject(promptFeedback) ? stringOf(promptFeedback.blockReason) || undefined : undefined
}

/**
 * `usageMetadata` in OpenAI's words. `promptTokenCount` includes cached tokens, `candidatesTokenCount` leaves thoughts
 * out, and what tools of Gemini's own put into the prompt is counted apart. Undefined when the prompt was not counted.
 */
export function usageIn({ usageMetadata: counts }: JsonObject): WireUsage | undefined {
  const given = isObject(counts) ? countOf(counts.promptTokenCount) : undefined
  if (!isObject(counts) || given === undefined) return undefined
  const prompt = given + (countOf(counts.toolUsePromptTokenCount) ?? 0)
  const thoughts = countOf(counts.thoughtsTokenCount) ?? 0
  const completion = (countOf(counts.candidatesTokenCount) ?? 0) + thoughts
  return normalUsage({
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: countOf(counts.cachedContentTokenCount) ?? 0 },
    completion_tokens_details: { reasoning_tokens: thoughts },
  })
}

import { type ChatCall, UpstreamError } from '../../core/models.ts'
import { isObject, type JsonObject, parseJson, stringOf } from './json-shape.ts'

/** Values that ask for nothing: leaving them out loses nothing, so they are not reported as ignored. */
const neutralValues: Readonly<Record<string, unknown>> = {
  n: 1,
  logprobs: false,
  top_logprobs: 0,
  frequency_penalty: 0,
  presence_penalty: 0,
  parallel_tool_calls: true,
  store: false,
  stream: false,
}

/** Whether a field of a chat body changes nothing when it is dropped: absent, empty, or the wire's own default. */
export function isNeutral(field: string, value: unknown): boolean {
  if (value === null || value === undefined || value === neutralValues[field]) return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

/** Throws `UpstreamError('status', 400)` when the caller wants all of the request or nothing, and fields would be lost. */
export function refuseLoss(name: string, { strict }: Pick<ChatCall, 'strict'>, ignored: readonly string[]): void {
  const [param] = ignored
  if (!strict || param === undefined) return
  const message = `${name} cannot express '${param}'.`
  const vendor = { message, type: 'invalid_request_error', param, code: 'unsupported_parameter' }
  throw new UpstreamError('status', message, { status: 400, vendor })
}

/** A request that cannot be put into a wire at all: the caller sees it as their own mistake, with the field's name. */
export function inexpressible(message: string, param: string): UpstreamError {
  return new UpstreamError('status', message, {
    status: 400,
    vendor: { message, type: 'invalid_request_error', param, code: 'unsupported_value' },
  })
}

/** A tool call's JSON text as the object that other wires want; no text is no arguments. Throws `inexpressible`. */
export function argumentsObject(value: unknown, path: string): JsonObject {
  if (isObject(value)) return value
  const text = stringOf(value)?.trim() ?? ''
  const parsed = text === '' ? {} : parseJson(text)
  if (isObject(parsed)) return parsed
  throw inexpressible('The arguments of a tool call are not a JSON object.', path)
}

/** `max_completion_tokens` supersedes `max_tokens`; neither may pass the call's own bound. */
export function outputLimit({ body, maxOutputTokens }: Pick<ChatCall, 'body' | 'maxOutputTokens'>): number | undefined {
  const wish = body.max_completion_tokens ?? body.max_tokens ?? undefined
  if (wish === undefined) return maxOutputTokens
  return maxOutputTokens === undefined ? wish : Math.min(wish, maxOutputTokens)
}

import { type ChatCall, UpstreamError } from '../../core/models.ts'

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

import { type Asked, type ChatRequest, readRequest } from '../completions/service.ts'
import type { Item } from './items-schema.ts'
import { type CreateResponse, lostOf } from './schema.ts'
import { chatTools } from './tools.ts'
import { chatMessages } from './turns.ts'

/** A conversation up to now: what is stored of it, and what this request adds. */
export type Conversation = { before: readonly Item[]; own: readonly Item[] }

/** A request of the Responses interface as a chat that every target can take. */
export const askedOfResponse = (request: CreateResponse, conversation: Conversation): Asked => ({
  ...readRequest(chatRequest(request, conversation)),
  lost: lostOf(request),
})

/** Fields that chat completions call the same. */
const SAME = [
  'temperature',
  'top_p',
  'user',
  'safety_identifier',
  'service_tier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'helix',
  'provider',
  'force_provider',
] as const

function chatRequest(request: CreateResponse, { before, own }: Conversation): ChatRequest {
  const { model, instructions, stream, max_output_tokens: most, reasoning, text } = request
  const same = SAME.flatMap((field) => {
    const value = request[field]
    return value === undefined || value === null ? [] : [[field, value] as const]
  })
  return {
    model,
    messages: [
      ...(instructions ? [{ role: 'system' as const, content: instructions }] : []),
      ...chatMessages([...before, ...own]),
    ],
    ...Object.fromEntries(same),
    ...(stream === true && { stream }),
    ...(typeof most === 'number' && { max_completion_tokens: most }),
    ...(reasoning?.effort && { reasoning_effort: reasoning.effort }),
    ...(text?.verbosity && { verbosity: text.verbosity }),
    ...chatTools(request),
    ...formatOf(request),
    ...logprobsOf(request),
  }
}

function formatOf({ text }: CreateResponse): Pick<ChatRequest, 'response_format'> {
  const format = text?.format
  if (!format || format.type === 'text') return {}
  if (format.type === 'json_object') return { response_format: { type: format.type } }
  const { name, schema, description, strict } = format
  const described = {
    name,
    schema,
    ...(description && { description }),
    ...(typeof strict === 'boolean' && { strict }),
  }
  return { response_format: { type: 'json_schema', json_schema: described } }
}

/** Whether the caller wants to see the probabilities of what was written. */
export const wantsLogprobs = ({ include, top_logprobs: top }: CreateResponse): boolean =>
  Boolean(top) || (include ?? []).includes('message.output_text.logprobs')

function logprobsOf(request: CreateResponse): Pick<ChatRequest, 'logprobs' | 'top_logprobs'> {
  if (!wantsLogprobs(request)) return {}
  return { logprobs: true, ...(request.top_logprobs && { top_logprobs: request.top_logprobs }) }
}

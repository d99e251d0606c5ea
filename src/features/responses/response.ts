import type { Usage } from '../../core/models.ts'
import type { CreateResponse } from './schema.ts'
import { responseUsage } from './usage.ts'

export type Fields = { [field: string]: unknown }

/** A response object. Its fields are those of OpenAI's: https://platform.openai.com/docs/api-reference/responses/object */
export type ResponseObject = Fields & { id: string; status: Status; model: string; output: readonly Fields[] }

export type Status = 'in_progress' | 'completed' | 'incomplete' | 'failed'

/** What a response is and was asked for, whatever becomes of it. `createdAt` is in Unix seconds. */
export type Opening = { id: string; createdAt: number; request: CreateResponse }

/** What has become of it. */
export type Outcome = {
  status: Status
  model: string
  output: readonly Fields[]
  isStored: boolean
  usage?: Usage | undefined
  /** Why it is incomplete. */
  reason?: 'max_output_tokens' | 'content_filter' | undefined
  error?: { code: string; message: string } | undefined
  completedAt?: number | undefined
  /** What is ours to tell. */
  helix?: Fields | undefined
}

export function responseOf({ id, createdAt, request }: Opening, outcome: Outcome): ResponseObject {
  const { status, model, output, isStored, usage, reason, error, completedAt, helix } = outcome
  return {
    id,
    object: 'response',
    created_at: createdAt,
    status,
    background: false,
    completed_at: completedAt ?? null,
    error: error ?? null,
    incomplete_details: reason ? { reason } : null,
    ...asAsked(request),
    model,
    output,
    store: isStored,
    usage: usage ? responseUsage(usage) : null,
    ...(helix && { helix }),
  }
}

/** The request as its response repeats it, with OpenAI's defaults where it said nothing. */
const asAsked = (request: CreateResponse): Fields => ({
  instructions: request.instructions ?? null,
  max_output_tokens: request.max_output_tokens ?? null,
  max_tool_calls: request.max_tool_calls ?? null,
  metadata: request.metadata ?? {},
  parallel_tool_calls: request.parallel_tool_calls ?? true,
  previous_response_id: request.previous_response_id ?? null,
  prompt_cache_key: request.prompt_cache_key ?? null,
  reasoning: { effort: request.reasoning?.effort ?? null, summary: request.reasoning?.summary ?? null },
  safety_identifier: request.safety_identifier ?? null,
  service_tier: 'default',
  temperature: request.temperature ?? 1,
  text: { ...request.text, format: request.text?.format ?? { type: 'text' } },
  tool_choice: request.tool_choice ?? 'auto',
  tools: request.tools ?? [],
  top_logprobs: request.top_logprobs ?? 0,
  top_p: request.top_p ?? 1,
  truncation: request.truncation ?? 'disabled',
  user: request.user ?? null,
})

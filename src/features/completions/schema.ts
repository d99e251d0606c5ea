import * as z from 'zod'
import { CacheOptions } from '../cache/service.ts'
import { SaidEnsemble } from '../ensembles/service.ts'
import { HelixOptions } from '../routing/service.ts'

export const ChatOptions = HelixOptions.extend({
  on_disconnect: z.enum(['cancel', 'drain']).optional(),
  cache: CacheOptions.optional(),
  ensemble_config: SaidEnsemble.optional(),
})

/** https://platform.openai.com/docs/api-reference/chat/create#chat-create-metadata */
const MAX_METADATA = 16

const Part = z.looseObject({ type: z.string().min(1) })

const Message = z.looseObject({
  role: z.enum(['developer', 'system', 'user', 'assistant', 'tool', 'function']),
  content: z.union([z.string(), z.array(Part), z.null()]).optional(),
  name: z.string().optional(),
  tool_calls: z.array(z.looseObject({ id: z.string(), type: z.string() })).nullish(),
  tool_call_id: z.string().optional(),
})

const Tool = z.looseObject({ type: z.string().min(1) })

const number = (minimum: number, maximum: number) => z.number().min(minimum).max(maximum).nullish()

/**
 * The chat body. Fields that we do not check are not dropped: they are the vendor's to judge.
 * https://platform.openai.com/docs/api-reference/chat/create
 */
export const ChatRequest = z.looseObject({
  model: z.string().min(1).max(255),
  messages: z.array(Message).min(1).max(2000),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  temperature: number(0, 2),
  top_p: number(0, 1),
  presence_penalty: number(-2, 2),
  frequency_penalty: number(-2, 2),
  n: z.int().min(1).max(8).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(10)]).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  seed: z.int().nullish(),
  tools: z.array(Tool).max(128).nullish(),
  tool_choice: z.union([z.string(), z.looseObject({ type: z.string() })]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: z.looseObject({ type: z.enum(['text', 'json_object', 'json_schema']) }).nullish(),
  reasoning_effort: z.string().nullish(),
  metadata: z
    .record(z.string().max(64), z.string().max(512))
    .refine((pairs) => Object.keys(pairs).length <= MAX_METADATA, `must have at most ${MAX_METADATA} pairs`)
    .nullish(),
  user: z.string().nullish(),
  helix: ChatOptions.nullish(),
  provider: z.union([z.string().min(1).max(64), z.looseObject({})]).nullish(),
  force_provider: z.string().min(1).max(64).nullish(),
  ensemble_config: SaidEnsemble.nullish(),
})

export type ChatRequest = z.infer<typeof ChatRequest>

/** The same, of several models; which, is left to us unless it is said. */
export const EnsembleRequest = ChatRequest.extend({ model: ChatRequest.shape.model.default('auto') })

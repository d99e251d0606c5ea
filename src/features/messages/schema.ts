import * as z from 'zod'
import { ChatOptions } from '../completions/service.ts'

/** What a block of each type cannot do without. Of blocks that are not named here only their type is looked at. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  text: ['text'],
  image: ['source'],
  document: ['source'],
  search_result: ['content'],
  thinking: ['thinking'],
  redacted_thinking: ['data'],
  tool_use: ['id', 'name'],
  tool_result: ['tool_use_id'],
}

const Source = z.looseObject({
  type: z.string().min(1),
  media_type: z.string().optional(),
  data: z.string().optional(),
  url: z.string().optional(),
})

const cacheControl = z.looseObject({ type: z.string(), ttl: z.string().optional() }).nullish()

/** A block of any type; the fields are those of the types that are translated. */
const Block = z
  .looseObject({
    type: z.string().min(1),
    text: z.string().optional(),
    source: z.union([z.string(), Source]).optional(),
    title: z.string().nullish(),
    context: z.string().nullish(),
    thinking: z.string().optional(),
    signature: z.string().nullish(),
    data: z.string().optional(),
    id: z.string().optional(),
    name: z.string().optional(),
    tool_use_id: z.string().optional(),
    is_error: z.boolean().nullish(),
    cache_control: cacheControl,
  })
  .superRefine((block, { addIssue }) => {
    for (const field of (Object.hasOwn(NEEDED, block.type) && NEEDED[block.type]) || []) {
      if (block[field] === undefined) addIssue({ code: 'custom', path: [field], message: `required of ${block.type}` })
    }
    if (block.type !== 'tool_result' && block.type !== 'search_result') return
    for (const { at, message } of faultsOfContent(block.content)) addIssue({ code: 'custom', path: at, message })
  })

export type Block = z.infer<typeof Block>

/** Blocks within a block are as loose as those around them, and go no deeper. */
function faultsOfContent(content: unknown): { at: (string | number)[]; message: string }[] {
  if (content === undefined || content === null || typeof content === 'string') return []
  if (!Array.isArray(content)) return [{ at: ['content'], message: 'expected string or array' }]
  return content.flatMap((part: unknown, position) =>
    typeof part === 'object' && part !== null && 'type' in part && typeof part.type === 'string'
      ? []
      : [{ at: ['content', position], message: 'expected a block with a type' }],
  )
}

const SystemBlock = z.looseObject({ type: z.string().min(1), text: z.string(), cache_control: cacheControl })

const Message = z.looseObject({
  role: z.enum(['user', 'assistant', 'system']),
  content: z.union([z.string(), z.array(Block)]),
})

export type Message = z.infer<typeof Message>

const Tool = z.looseObject({
  type: z.string().min(1).nullish(),
  name: z.string().min(1).optional(),
  description: z.string().optional(),
  input_schema: z.looseObject({}).optional(),
  strict: z.boolean().nullish(),
  cache_control: cacheControl,
})

export type Tool = z.infer<typeof Tool>

const ToolChoice = z.looseObject({
  type: z.enum(['auto', 'any', 'tool', 'none']),
  name: z.string().optional(),
  disable_parallel_tool_use: z.boolean().nullish(),
})

const Thinking = z.looseObject({ type: z.string().min(1), budget_tokens: z.int().min(1).optional() })

const OutputConfig = z.looseObject({
  effort: z.string().nullish(),
  format: z.looseObject({ type: z.string(), schema: z.looseObject({}).optional() }).nullish(),
})

/**
 * The body of the Messages interface without what only an answer needs. Fields that are not named are not dropped:
 * a target of the same wire gets them.
 * https://platform.claude.com/docs/en/api/messages/count_tokens
 */
export const CountRequest = z.looseObject({
  model: z.string().min(1).max(255),
  messages: z.array(Message).min(1).max(2000),
  system: z.union([z.string(), z.array(SystemBlock)]).nullish(),
  tools: z.array(Tool).max(128).nullish(),
  tool_choice: ToolChoice.nullish(),
  thinking: Thinking.nullish(),
  output_config: OutputConfig.nullish(),
  helix: ChatOptions.nullish(),
  provider: z.string().min(1).max(64).nullish(),
  force_provider: z.string().min(1).max(64).nullish(),
})

export type CountRequest = z.infer<typeof CountRequest>

export const TokenCount = z.object({
  input_tokens: z.int().min(0).describe('Of the whole request; an estimate where `x-helix-estimated` says so.'),
})

const MessagesBody = CountRequest.extend({
  /** Zero writes the prompt to the cache of a target of this wire, and nothing else. */
  max_tokens: z.int().min(0),
  stream: z.boolean().nullish(),
  temperature: z.number().min(0).max(1).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().min(0).nullish(),
  stop_sequences: z.array(z.string()).max(100).nullish(),
  metadata: z.looseObject({ user_id: z.string().max(512).nullish() }).nullish(),
  service_tier: z.string().nullish(),
  inference_geo: z.string().nullish(),
  speed: z.string().nullish(),
})

/** What is dropped whoever answers: a faster answer costs more than its listed price, by which it would be booked. */
export const lostOf = ({ speed }: Readonly<Record<string, unknown>>): string[] =>
  speed === undefined || speed === null || speed === 'standard' ? [] : ['speed']

/** The body of the Messages interface: https://platform.claude.com/docs/en/api/messages/create */
export const MessagesRequest = MessagesBody.superRefine((request, { addIssue }) => {
  const { inference_geo: geo, helix } = request
  // Where a call is worked on is no wish that may be dropped, and no target here promises anything of it.
  if (geo !== undefined && geo !== null && geo !== 'global') {
    addIssue({ code: 'custom', path: ['inference_geo'], message: "only 'global' can be had here" })
  }
  if (helix?.strict !== true) return
  for (const field of lostOf(request)) {
    addIssue({ code: 'custom', path: [field], message: `no target can be asked for '${field}'` })
  }
})

export type MessagesRequest = z.infer<typeof MessagesRequest>

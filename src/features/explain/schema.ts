import * as z from 'zod'
import { complexities } from '../../core/routing.ts'
import { taskTypes } from '../../core/tasks.ts'
import { ChatOptions, ChatRequest } from '../completions/service.ts'

const Random = z
  .number()
  .min(0)
  .lt(1)
  .optional()
  .describe('What is drawn where a strategy draws lots; by itself a number of the moment.')

const MOST_TOKENS = 100_000_000

const Features = z.strictObject({
  input_tokens: z.int().min(0).max(MOST_TOKENS),
  max_output_tokens: z.int().min(1).max(MOST_TOKENS).optional(),
  stream: z.boolean().default(false),
  needs: z
    .array(z.enum(['vision', 'tools', 'json_schema']))
    .max(3)
    .default([]),
  task_type: z.enum(taskTypes).default('text_generation'),
  complexity: z.enum(complexities).default('medium'),
})

/** A call that is not there yet, by what would be seen of it. */
const ExplainFeatures = z.strictObject({
  model: z.string().min(1).max(255).default('auto'),
  features: Features,
  helix: ChatOptions.optional(),
  random: Random,
})
export type ExplainFeatures = z.output<typeof ExplainFeatures>

const ExplainChat = ChatRequest.extend({ random: Random })
export type ExplainChat = z.output<typeof ExplainChat>

export const ExplainRequest = z.union([ExplainChat, ExplainFeatures])

const Planned = z.object({
  target: z.string().describe('`provider/model`'),
  reason: z.string(),
  score: z.number().optional(),
  relaxed: z.array(z.string()).optional().describe('Caps of the class that the default model does not keep.'),
  quality: z.number().optional().describe('0 to 10.'),
  cost_usd: z.number().nullable().describe('Estimated; null where nobody told a price.'),
  latency_ms: z.number().optional().describe('Expected.'),
  timeout_ms: z.int().optional().describe('What the routing policy gives an attempt.'),
})

export const Explanation = z.object({
  object: z.literal('routing_explanation'),
  asked_model: z.string(),
  strategy: z.string(),
  targets: z.array(Planned).describe('In the order in which the call would try them.'),
  excluded: z.array(z.object({ target: z.string(), reason: z.string() })),
  propensity: z.number().describe('How likely the first was to be the first, 0 to 1.'),
  relaxed: z.array(z.string()),
  complexity: z.string(),
  task_type: z.string(),
  experiment: z.object({ id: z.string(), variant: z.string(), propensity: z.number() }).nullable(),
  routing_policy_id: z.string().nullable(),
  routing_policy_version: z.int().nullable(),
  policy_version: z.string(),
  prices_version: z.string(),
  inputs: z.record(z.string(), z.unknown()).nullable().describe('Everything that the order came of.'),
  refusal: z
    .object({ code: z.string(), message: z.string(), retry_after: z.int().nullable() })
    .nullable()
    .describe('What the call would be told instead, where no target is left.'),
})
export type Explanation = z.input<typeof Explanation>

const { messages, tools, response_format, reasoning_effort } = ChatRequest.shape
export const ClassifyRequest = z.strictObject({ messages, tools, response_format, reasoning_effort })
export type ClassifyRequest = z.output<typeof ClassifyRequest>

export const Classified = z.object({
  object: z.literal('routing_classification'),
  complexity: z.enum(complexities),
  points: z.int().describe('Up to 1 is simple, up to 3 medium.'),
  counted: z.record(z.string(), z.int()).describe('What gave points, and how many.'),
  task_type: z.string(),
  features: z.object({
    input_tokens: z.int().describe('Estimated.'),
    messages: z.int(),
    tools: z.boolean(),
    json_schema: z.boolean(),
    code: z.boolean().describe('A fenced block or a diff.'),
    images: z.boolean(),
    audio: z.boolean(),
    reasoning_words: z.int().describe('Distinct words that ask for reasoning.'),
    hard_thinking: z.boolean(),
  }),
})
export type Classified = z.input<typeof Classified>

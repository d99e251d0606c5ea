import * as z from 'zod'
import { nodeCapabilities } from '../../core/node.ts'
import { taskTypes } from '../../core/tasks.ts'
import { PULL_NAME } from './patterns.ts'
import { contentTypes } from './tasks.ts'

const NodeId = z.string().regex(/^node_[0-9a-hjkmnp-tv-z]{26}$/)
const Capability = z.enum(nodeCapabilities)
const Task = z.enum(taskTypes)
const Content = z.enum(contentTypes)
const ModelName = z.string().min(1).max(200).describe('As a node lists it; without a tag it means `:latest`.')
const time = z.int().nullable().describe('Unix seconds.')
const list = <T extends z.ZodType>(item: T) => z.object({ object: z.literal('list'), data: z.array(item) })

export const NodeQuery = z.strictObject({ node_id: NodeId.optional() })
export const ModelParams = z.object({ name: z.string().min(1).max(255) })

export const OllamaModel = z.object({
  name: z.string(),
  size: z.number().nullable().describe('Bytes.'),
  modified_at: time,
  digest: z.string().nullable(),
  capabilities: z.array(Capability),
  nodes: z.array(z.string()).describe('Those that have it.'),
})
export const OllamaModels = list(OllamaModel)
export const ModelNames = z.object({ object: z.literal('list'), data: z.array(z.string()) })
export const OllamaHealth = z.object({
  status: z.enum(['healthy', 'degraded', 'unhealthy', 'unknown']).describe('Of the best node; unknown without any.'),
  models_available: z.int(),
  default_model: z.string().nullable().describe('`node/model`: what a chat goes to that names none.'),
  nodes: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      status: z.enum(['healthy', 'degraded', 'unhealthy', 'unknown']),
      fault: z.string().nullable(),
      latency_ms: z.number().nullable(),
      models_available: z.int(),
      is_draining: z.boolean(),
    }),
  ),
})

export const PullParams = z.object({ name: z.string().max(200).regex(PULL_NAME) })
export const PullBody = z.strictObject({
  node_id: NodeId.optional().describe('The first node of your own that may have it unless said.'),
  insecure: z.boolean().default(false).describe('The registry may be without TLS.'),
})
export const LoadBody = z.strictObject({
  name: ModelName,
  node_id: NodeId.optional().describe('The first node that has it unless said.'),
  keep_alive: z
    .union([z.int().min(-1).max(604_800), z.string().regex(/^-?\d{1,6}(?:\.\d{1,3})?(?:ms|s|m|h)$/)])
    .default('10m')
    .describe('How long it stays loaded without calls: seconds or `10m`; -1 for ever.'),
})
export const UnloadBody = z.strictObject({ name: ModelName, node_id: NodeId.optional() })
export const ModelStateView = z.object({
  name: z.string(),
  node: z.string(),
  node_id: z.string(),
  is_available: z.boolean(),
  loaded: z.boolean(),
  vram_mb: z.number().nullable(),
  until: time,
})

export const AvailableQuery = z.strictObject({ capability: Capability.optional(), content_type: Content.optional() })
const Metrics = z.object({
  total_requests: z.int(),
  success_rate: z.number().nullable().describe('0 to 1.'),
  average_response_time_ms: z.number().nullable(),
  average_tokens_per_second: z.number().nullable(),
})
export const AvailableModel = z.object({
  name: z.string(),
  nodes: z.array(z.string()),
  capabilities: z.array(Capability),
  capability_source: z.enum(['show', 'list', 'probe', 'name']).describe('`name` is a guess.'),
  content_types: z.array(Content),
  performance_metrics: Metrics,
  version: z.string().nullable().describe('Its digest.'),
  size_mb: z.number().nullable(),
  context_length: z.int().nullable(),
  loaded: z.boolean(),
  last_used: time,
  created_at: time,
  is_available: z.boolean(),
  tags: z.array(z.string()),
})
export const AvailableModels = list(AvailableModel)
export type AvailableModel = z.output<typeof AvailableModel>

export const SelectBody = z.strictObject({
  task_type: Task,
  content_type: Content.optional(),
  priority: z.enum(['speed', 'quality', 'balanced']).default('balanced'),
  max_tokens: z.int().min(1).max(10_000_000).optional(),
  context_length: z.int().min(1).max(10_000_000).optional(),
  requirements: z
    .strictObject({
      capabilities: z.array(Capability).max(nodeCapabilities.length).optional(),
      max_size_mb: z.number().positive().optional(),
    })
    .default({}),
})
export type SelectBody = z.output<typeof SelectBody>
export const SelectView = z.object({
  selected_model: z.string().describe('`node/model`, as a call names it.'),
  model_info: AvailableModel,
  selection_reason: z.string(),
  score: z.number().describe('0 to 100.'),
  confidence_score: z.number().describe('0 to 1.'),
  fallback_models: z.array(z.string()),
  performance_prediction: z.object({ ms: z.number().nullable(), tokens_per_second: z.number().nullable() }),
})

export const PerformanceQuery = z.strictObject({
  task_type: Task.optional(),
  content_type: Content.optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
})
export const Performance = z.object({
  model: z.string(),
  nodes: z.array(z.string()),
  success_rate: z.number(),
  average_response_time_ms: z.number().nullable(),
  average_tokens_per_second: z.number().nullable(),
  error_count: z.int(),
  total_requests: z.int(),
  last_updated: time,
  performance_score: z.number().describe('0 to 100: how quick, how reliable, how many tokens a second.'),
})
export const PerformanceList = list(Performance)

export const StatsQuery = z.strictObject({
  window_hours: z.coerce.number().int().min(1).max(720).default(168).describe('How far back; seven days unless said.'),
})
export const ModelStats = z.object({
  model: z.string(),
  nodes: z.array(z.string()),
  window_hours: z.int(),
  total_requests: z.int(),
  successful_requests: z.int(),
  failed_requests: z.int(),
  success_rate: z.number().nullable(),
  average_response_time_ms: z.number().nullable(),
  average_tokens_per_second: z.number().nullable(),
  task_distribution: z.record(z.string(), z.int()),
  content_type_distribution: z.record(z.string(), z.int()),
  last_used: time,
})

export const Changes = z.object({
  added: z.array(z.string()),
  removed: z.array(z.string()),
  changed: z.array(z.string()),
})

export const CapabilitiesView = z.object({
  object: z.literal('capabilities'),
  capabilities: z.record(z.string(), z.array(z.string())).describe('Models by what they can do.'),
})

export const RecommendationsQuery = z.strictObject({ task_type: Task.default('text_generation') })
export const Recommendations = z.object({
  task_type: Task,
  capability: Capability,
  models: z.array(z.object({ model: z.string(), score: z.number(), reasons: z.array(z.string()) })),
  worth_installing: z.array(
    z.object({
      capability: Capability,
      model: z.string(),
      server: z.enum(['ollama', 'speech', 'agent']),
      reason: z.string(),
    }),
  ),
})

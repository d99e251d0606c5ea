import * as z from 'zod'
import { DEFAULT_NODE_LIMITS, nodeClasses } from '../../core/node.ts'
import { pageFields } from '../../http/page.ts'

const MAX_PULLS = 100
const MAX_AT_ONCE = 64

const Name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'must be 1 to 63 lower-case letters, digits, hyphens or underscores')
  .describe('What calls name it by: `name/model`. No provider of the organisation and no vendor has it.')
const Address = z.string().max(2000)
const BaseUrl = Address.describe(
  'Of its Ollama, without the path of an endpoint: `https://gpu-1.example.com`. On the public Internet, by https.',
)
const SpeechUrl = Address.nullable().describe('Of an OpenAI-compatible speech server beside it, up to `/v1`.')
const MetricsUrl = Address.nullable().describe(
  'Of its agent, which tells of its cards and measures sounds and pictures.',
)

const secretPart = z
  .string()
  .trim()
  .min(1)
  .max(1024)
  .regex(/^[\x21-\x7e]+$/, 'has characters that no header can carry')
export const Credential = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('service_token'), client_id: secretPart, client_secret: secretPart }),
    z.strictObject({ type: z.literal('bearer'), token: secretPart }),
  ])
  .describe(
    'What its tunnel asks for: a service token of Cloudflare Access, or a bearer token. Stored encrypted; no answer ever ' +
      'shows it. It has to be given again with another address.',
  )
export type Credential = z.output<typeof Credential>

const AtOnce = z.int().min(1).max(MAX_AT_ONCE)
const Limits = z.strictObject({ ...perClass(AtOnce.optional()), gpu_tasks: AtOnce.optional() }).describe(
  `Calls at once by class, and all together (\`gpu_tasks\`). By default ${Object.entries(DEFAULT_NODE_LIMITS)
    .map(([name, most]) => `${name} ${most}`)
    .join(', ')}.`,
)
const Pulls = z
  .array(
    z
      .string()
      .max(200)
      .regex(/^[a-z0-9._/*-]+(?::[\w.*-]+)?$/, 'must be a name of a model or a pattern with *'),
  )
  .max(MAX_PULLS)
  .nullable()
  .describe('Names and patterns (`llama3*`) of models that may be pulled to it; null allows every name.')

const fields = {
  name: Name,
  base_url: BaseUrl,
  speech_url: SpeechUrl,
  metrics_url: MetricsUrl,
  priority: z.int().min(1).max(100).describe('Smaller is tried first.'),
  enabled: z.boolean(),
  drain: z.boolean().describe('Takes no new work; what runs may end.'),
  limits: Limits,
  allowed_pulls: Pulls,
}

export const NodeBody = z.strictObject({
  ...fields,
  speech_url: SpeechUrl.default(null),
  metrics_url: MetricsUrl.default(null),
  credential: Credential.nullable().optional(),
  priority: fields.priority.default(50),
  enabled: fields.enabled.default(true),
  drain: fields.drain.default(false),
  limits: Limits.default({}),
  allowed_pulls: Pulls.default(null),
})
export type NodeBody = z.output<typeof NodeBody>

/** What is absent stays, in `limits` too. */
export const PatchNode = z.strictObject({ ...fields, credential: Credential.nullable() }).partial()
export type PatchNode = z.output<typeof PatchNode>

export const NodesQuery = z.strictObject(pageFields)
export type NodesQuery = z.output<typeof NodesQuery>

export const NodeParams = z.object({ id: z.string().regex(/^node_[0-9a-hjkmnp-tv-z]{26}$/) })

export const DrainNode = z.strictObject({ drain: z.boolean().default(true) })

const time = z.int().nullable().describe('Unix seconds.')

export const StateView = z.object({
  health: z.enum(['healthy', 'degraded', 'unhealthy', 'unknown']),
  fault: z
    .enum([
      'tunnel_down',
      'auth',
      'model_missing',
      'out_of_memory',
      'timeout',
      'bad_output',
      'tunnel_silence',
      'overloaded',
    ])
    .nullable()
    .describe('Why the last look at it failed.'),
  checked_at: time,
  last_seen_at: time,
  version: z.string().nullable().describe('Of its Ollama.'),
  latency_ms: z.number().nullable(),
  speech_ok: z.boolean().nullable().describe('Null where it has no speech server.'),
  agent_ok: z.boolean().nullable(),
  agent_version: z.string().nullable(),
  models: z.int().describe('How many it has.'),
})

const Gpu = z.object({
  count: z.int(),
  name: z.string(),
  memory_mb: z.number(),
  free_mb: z.number(),
  utilisation: z.number().nullable().describe('0 to 1.'),
})

export const LoadView = z.object({
  in_flight: z.object(perClass(z.int())),
  waiting: z.int(),
  loaded_models: z.array(z.object({ name: z.string(), vram_mb: z.number(), until: time })),
  vram_mb: z.number().describe('Of all loaded models.'),
  gpu: Gpu.nullable().describe('As its agent tells; null without one.'),
})

export const NodeView = z.object({
  id: z.string(),
  object: z.literal('node'),
  name: z.string(),
  is_shared: z
    .boolean()
    .describe('The installation’s own: everybody’s calls may reach it, and nobody changes it here.'),
  base_url: z.string().nullable(),
  speech_url: z.string().nullable(),
  metrics_url: z.string().nullable(),
  credential_hint: z.string().nullable().describe('What may be shown of its credential; null where there is none.'),
  priority: z.int(),
  enabled: z.boolean(),
  drain: z.boolean(),
  limits: z.object({ ...perClass(z.int()), gpu_tasks: z.int() }),
  allowed_pulls: z.array(z.string()).nullable(),
  state: StateView,
  load: LoadView,
  created_at: time,
  updated_at: time,
})
export type NodeView = z.output<typeof NodeView>

/** The same for every class of work. */
function perClass<S extends z.ZodType>(schema: S) {
  const [chat, embed, vision, audio, workflows] = nodeClasses
  return { [chat]: schema, [embed]: schema, [vision]: schema, [audio]: schema, [workflows]: schema }
}

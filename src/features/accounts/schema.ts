import * as z from 'zod'
import { pageFields } from '../../http/page.ts'

const MAX_MODELS = 100
/** Of the largest counts of tokens that a provider may tell, the cost is still a number that is exact. */
const MAX_USD = 1000
const MAX_FIELDS = 32

const Name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'must be 1 to 63 lower-case letters, digits, hyphens or underscores')
  .refine((name) => name !== 'auto', 'is what callers leave the choice with')
  .describe(
    'What calls name it by: `name/model`. The name of a vendor of the catalog, or of a node, takes its place for this organisation.',
  )
const Kind = z.enum(['openai_compatible', 'anthropic', 'gemini', 'ollama']).describe('The wire that it speaks.')
const BaseUrl = z
  .string()
  .max(2000)
  .describe('Without the path of an endpoint: `https://api.openai.com/v1`. On the public Internet, by https.')
const Vendor = z
  .string()
  .max(64)
  .nullable()
  .describe('The vendor of the catalog whose models and prices it has: by itself the one of the same name, if any.')
const Usd = z.number().min(0).max(MAX_USD).describe('USD per 1,000,000 tokens.')
const ModelName = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces')

const Model = z.strictObject({
  name: ModelName,
  upstream_name: ModelName.optional().describe('What the provider takes in a request, where that is another name.'),
  kind: z.enum(['chat', 'embedding']).default('chat'),
  context_window: z.int().min(1).max(100_000_000).optional(),
  max_output_tokens: z.int().min(1).max(100_000_000).optional(),
  capabilities: z
    .array(z.enum(['tools', 'json_schema', 'vision', 'reasoning']))
    .max(4)
    .optional(),
  input_usd: Usd.optional(),
  cached_input_usd: Usd.optional().describe('As input unless said.'),
  cache_write_usd: Usd.optional().describe('As input unless said.'),
  output_usd: Usd.optional(),
})
const Models = z
  .array(Model)
  .max(MAX_MODELS)
  .refine((models) => new Set(models.map(({ name }) => name)).size === models.length, 'names a model twice')
  .describe(
    'Models that the catalog does not have, or has with other figures. Without the price of input and output their calls cost nothing here, and none runs under a hard budget.',
  )

const Field = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/)
const Quirks = z
  .strictObject({
    rename: z
      .record(Field, Field)
      .refine((names) => Object.keys(names).length <= MAX_FIELDS, `names more than ${MAX_FIELDS} fields`)
      .optional()
      .describe('Fields of a request that it knows under another name.'),
    omit: z.array(Field).max(MAX_FIELDS).optional().describe('Fields of a request that it refuses.'),
  })
  .describe('How it departs from OpenAI’s wire; for `openai_compatible` alone.')

const fields = {
  name: Name,
  kind: Kind,
  base_url: BaseUrl,
  vendor: Vendor,
  models: Models,
  enabled: z.boolean(),
  priority: z.int().min(1).max(100).describe('Smaller is tried first.'),
  weight: z.int().min(1).max(100).describe('Of equal priority, larger is tried first.'),
  timeout_ms: z.int().min(1000).max(600_000).describe('A whole answer, and the silence of a stream, at the most.'),
  connect_timeout_ms: z.int().min(100).max(60_000),
  max_retries: z.int().min(0).max(2).describe('How often a call asks it again.'),
  max_concurrency: z.int().min(1).max(1000).nullable().describe('Calls at once; more wait their turn. Null: no limit.'),
  quirks: Quirks,
  region: z.string().min(1).max(64).nullable(),
}

export const ProviderBody = z.strictObject({
  ...fields,
  vendor: Vendor.optional(),
  models: Models.default([]),
  enabled: fields.enabled.default(true),
  priority: fields.priority.default(50),
  weight: fields.weight.default(1),
  timeout_ms: fields.timeout_ms.default(60_000),
  connect_timeout_ms: fields.connect_timeout_ms.default(10_000),
  max_retries: fields.max_retries.default(2),
  max_concurrency: fields.max_concurrency.default(null),
  quirks: Quirks.default({}),
  region: fields.region.default(null),
})
export type ProviderBody = z.output<typeof ProviderBody>

/** What is absent stays. */
export const PatchProvider = z.strictObject(fields).partial()
export type PatchProvider = z.output<typeof PatchProvider>

const Label = z
  .string()
  .trim()
  .min(1)
  .max(64)
  .refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), 'must be plain text')

export const CreateCredential = z.strictObject({
  label: Label.describe('For people. Unique among the credentials of the provider.'),
  key: z
    .string()
    .trim()
    .min(1)
    .max(1024)
    .regex(/^[\x21-\x7e]+$/, 'has characters that no header can carry')
    .describe('Stored encrypted; no answer ever shows it.'),
})
export type CreateCredential = z.output<typeof CreateCredential>

export const PatchCredential = z.strictObject({ label: Label.optional(), is_active: z.boolean().optional() })
export type PatchCredential = z.output<typeof PatchCredential>

export const CredentialView = z.object({
  id: z.string(),
  label: z.string(),
  last4: z.string(),
  is_active: z.boolean(),
  cooldown_until: z.int().nullable().describe('The provider refused it: until then it is not used. Unix seconds.'),
})
export type CredentialView = z.output<typeof CredentialView>

const usd = z.number().optional()

/** Rows as they are: what a rule of today would refuse is shown all the same. */
export const ProviderView = z.object({
  id: z.string(),
  object: z.literal('provider'),
  name: z.string(),
  kind: Kind,
  base_url: z.string(),
  vendor: z.string().nullable(),
  models: z.array(
    z.object({
      name: z.string(),
      upstream_name: z.string().optional(),
      kind: z.enum(['chat', 'embedding']),
      context_window: z.int().optional(),
      max_output_tokens: z.int().optional(),
      capabilities: z.array(z.string()).optional(),
      input_usd: usd,
      cached_input_usd: usd,
      cache_write_usd: usd,
      output_usd: usd,
    }),
  ),
  enabled: z.boolean(),
  priority: z.int(),
  weight: z.int(),
  timeout_ms: z.int(),
  connect_timeout_ms: z.int(),
  max_retries: z.int(),
  max_concurrency: z.int().nullable(),
  quirks: z.object({ rename: z.record(z.string(), z.string()).optional(), omit: z.array(z.string()).optional() }),
  region: z.string().nullable(),
  credentials: z.array(CredentialView),
  created_at: z.int(),
  updated_at: z.int(),
})
export type ProviderView = z.output<typeof ProviderView>

const ProviderId = z.string().regex(/^prv_[0-9a-hjkmnp-tv-z]{26}$/)
export const ProviderParams = z.object({ id: ProviderId })
export const CredentialParams = z.object({
  id: ProviderId,
  credential_id: z.string().regex(/^pcr_[0-9a-hjkmnp-tv-z]{26}$/),
})

export const ProvidersQuery = z.strictObject(pageFields)
export type ProvidersQuery = z.output<typeof ProvidersQuery>

export const VerifyProvider = z.strictObject({
  model: ModelName.optional().describe('The model to call; the first that is known unless said.'),
})

export const Verified = z.object({
  ok: z.boolean().describe('Every credential in use works.'),
  models_found: z.int(),
  model: z.string().nullable().describe('The one that was called.'),
  latency_ms: z.int().describe('Of the slowest credential, both requests together.'),
  error: z.string().nullable(),
  credentials: z.array(
    z.object({
      id: z.string().nullable(),
      label: z.string().nullable(),
      ok: z.boolean(),
      error: z.string().nullable(),
    }),
  ),
})
export type Verified = z.output<typeof Verified>

export const DiscoverModels = z.strictObject({ provider_id: z.string().max(64) })

export const Discovered = z.object({
  provider_id: z.string(),
  models: z.array(
    z.object({
      name: z.string(),
      context_window: z.int().nullable(),
      known: z.enum(['catalog', 'own']).nullable().describe('Where its figures come from; null when there are none.'),
    }),
  ),
  unknown: z.array(z.string()).describe('Found, and known to neither the catalog nor this provider’s own models.'),
  missing: z.array(z.string()).describe('Among the provider’s own models, and not found.'),
})
export type Discovered = z.output<typeof Discovered>

export const BestQuery = z.strictObject({
  capability: z
    .enum(['completion', 'embedding', 'vision', 'tools'])
    .default('completion')
    .describe('What the model must be able to do.'),
})

export const Best = z.object({
  provider: z.string(),
  model: z.string(),
  is_own: z.boolean().describe('An account of the organisation itself.'),
  reason: z.string(),
})

import * as z from 'zod'
import { pageFields, pageOf } from '../../http/page.ts'
import { rulesBody, rulesParts } from './rules-schema.ts'

const Name = z.string().trim().min(1).max(255)

const Attach = z
  .strictObject({
    kind: z.enum(['org', 'key', 'agent']),
    id: z.string().min(1).max(64).optional().describe('May be left out for the organisation of the caller.'),
  })
  .describe(
    'Whose calls it governs: everybody’s of the organisation, those of a key with all that it replaced or that ' +
      'replaced it, or those of an agent’s keys. A key’s own goes before its agent’s, and that before the organisation’s.',
  )
export type Attach = z.output<typeof Attach>

export const PolicyBody = rulesBody().extend({
  name: Name,
  attach: Attach.nullable().default(null),
})
export type PolicyBody = z.output<typeof PolicyBody>

const Anything = z.record(z.string(), z.unknown())
const parts = rulesParts()

/** The outermost fields of a merge patch; what comes of it has to be a `PolicyBody`. */
export const PatchPolicy = z.strictObject({
  name: Name.optional(),
  attach: Anything.nullish(),
  strategy: parts.strategy.nullish(),
  targets: parts.targets.nullish(),
  fallbacks: Anything.nullish(),
  caps: Anything.nullish(),
  default_model: parts.default_model.optional(),
  cache: Anything.nullish(),
  bandit: Anything.nullish(),
  experiment: Anything.nullish(),
})
export type PatchPolicy = z.output<typeof PatchPolicy>

export const RollBack = z.strictObject({ version: z.int().min(1).describe('Whose rules it gets again.') })

const usd = z.number()

/** The same as it is shown: what a limit of today would refuse is shown all the same. */
const rulesView = {
  strategy: z.string(),
  targets: z.array(
    z.object({
      provider: z.string(),
      model: z.string().optional(),
      priority: z.int().optional(),
      weight: z.number().optional(),
      max_cost_per_token_usd: usd.optional(),
      max_cost_per_request_usd: usd.optional(),
      timeout_ms: z.int().optional(),
    }),
  ),
  fallbacks: z.record(z.string(), z.array(z.string())),
  caps: z
    .record(
      z.string(),
      z.object({
        max_cost_usd: usd.optional(),
        max_latency_ms: z.int().optional(),
        min_quality: z.number().optional(),
      }),
    )
    .nullable(),
  default_model: z.string().nullable(),
  cache: z
    .object({ mode: z.enum(['off', 'exact']), ttl_seconds: z.int().optional(), scope: z.string().optional() })
    .nullable(),
  bandit: z.object({ epsilon: z.number() }).nullable(),
  experiment: z
    .object({
      id: z.string(),
      unit: z.string(),
      variants: z.array(
        z.object({
          name: z.string(),
          weight: z.number(),
          model: z.string().optional(),
          strategy: z.string().optional(),
        }),
      ),
    })
    .nullable(),
}

const RulesView = z.object(rulesView)
export type RulesView = z.input<typeof RulesView>

export const PolicyView = z.object({
  id: z.string(),
  object: z.literal('routing_policy'),
  name: z.string(),
  version: z.int().describe('Counts up with every change of the rules.'),
  attach: z.object({ kind: z.enum(['org', 'key', 'agent']), id: z.string() }).nullable(),
  ...rulesView,
  created_at: z.int(),
  updated_at: z.int(),
})
export type PolicyView = z.input<typeof PolicyView>

const PolicyId = z.string().regex(/^rpl_[0-9a-hjkmnp-tv-z]{26}$/)
export const PolicyParams = z.object({ id: PolicyId })
export const PoliciesQuery = z.strictObject(pageFields)
export type PoliciesQuery = z.output<typeof PoliciesQuery>

export const VersionView = z.object({
  id: z.string().describe('The policy and the number: `rpl_…@3`.'),
  object: z.literal('routing_policy_version'),
  version: z.int(),
  ...rulesView,
  created_by: z.string().nullable().describe('The id of a person or of a key.'),
  created_at: z.int(),
})
export type VersionView = z.input<typeof VersionView>

export const VersionPage = pageOf(VersionView)

const ModelName = z.string().min(1).max(320)
export const ModelParams = z.object({ model: ModelName })
export const ModelsQuery = z.strictObject({
  limit: pageFields.limit,
  after: ModelName.optional().describe('Continue after this id.'),
  order: pageFields.order.default('asc').describe('By name.'),
})
export type ModelsQuery = z.output<typeof ModelsQuery>

export const Availability = z.strictObject({
  available: z.boolean(),
  reason: z.string().trim().max(500).default('').describe('For people: why.'),
  until: z
    .int()
    .min(0)
    .max(253_402_300_799)
    .nullable()
    .default(null)
    .describe('Unix seconds from which on it is in use again by itself; null: until it is changed.'),
})
export type Availability = z.output<typeof Availability>

export const AvailabilityView = z.object({
  id: z.string().describe('The name that was given.'),
  object: z.literal('model_availability'),
  model: z.string(),
  available: z.boolean().describe('As it is now: true again once its time is over.'),
  reason: z.string(),
  until: z.int().nullable(),
  updated_by: z.string().nullable(),
  created_at: z.int().nullable().describe('Null for a model that nobody has ever marked.'),
  updated_at: z.int().nullable(),
})
export type AvailabilityView = z.input<typeof AvailabilityView>

export const AvailabilityPage = pageOf(AvailabilityView)

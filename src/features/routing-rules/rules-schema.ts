import * as z from 'zod'
import { LABEL } from '../../core/ids.ts'
import { isWholeNano } from '../../core/money.ts'
import { complexities, strategies } from '../../core/routing.ts'

const MAX_TARGETS = 50
const MAX_CHAINS = 50
const MAX_IN_CHAIN = 5
const MAX_VARIANTS = 10
/** More than any request can cost. */
const MAX_USD = 1_000_000
const MAX_MS = 600_000
const MAX_WEIGHT = 1_000_000

// Made where they are wanted: whoever compiles policies loads this file, and has no use for a schema.

const model = () => z.string().min(1).max(255)
const weight = () => z.number().gt(0).max(MAX_WEIGHT)
const usd = () =>
  z
    .number()
    .min(0)
    .max(MAX_USD)
    .refine((value) => value < 0 || value > MAX_USD || isWholeNano(value), { message: 'has more than nine decimals' })

const target = () =>
  z.strictObject({
    provider: z.string().min(1).max(64).describe('The name of a vendor, a node or an account.'),
    model: model()
      .optional()
      .describe('As its provider calls it; left out, every model of the provider that the call could have.'),
    priority: z.int().min(1).max(100).optional().describe('Smaller is tried first.'),
    weight: weight().optional().describe('1 unless said.'),
    max_cost_per_token_usd: usd().optional().describe('Of the blended price of a token of input and output.'),
    max_cost_per_request_usd: usd().optional(),
    timeout_ms: z.int().min(1000).max(MAX_MS).optional(),
  })

const identityOf = ({ provider, model: name }: { provider: string; model?: string | undefined }) =>
  JSON.stringify([provider, name])

const targets = () =>
  z
    .array(target())
    .max(MAX_TARGETS)
    .refine((all) => new Set(all.map(identityOf)).size === all.length, 'names a target twice')

const chains = () =>
  z
    .record(model(), z.array(model()).max(MAX_IN_CHAIN))
    .refine((all) => Object.keys(all).length <= MAX_CHAINS, `has more than ${MAX_CHAINS} chains`)

const caps = () =>
  z.partialRecord(
    z.enum(complexities),
    z.strictObject({
      max_cost_usd: usd().optional(),
      max_latency_ms: z.int().min(0).max(MAX_MS).optional(),
      min_quality: z.number().min(0).max(10).optional(),
    }),
  )

const cache = () =>
  z.strictObject({
    mode: z.enum(['off', 'exact']),
    ttl_seconds: z.int().min(1).max(604_800).optional(),
    scope: z.enum(['key', 'user', 'org']).optional(),
  })

const bandit = () =>
  z.strictObject({ epsilon: z.number().min(0).max(1).describe('The share of calls that try something else.') })

const variant = () =>
  z.strictObject({
    name: z.string().regex(LABEL),
    weight: weight(),
    model: model().optional(),
    strategy: z.enum(strategies).optional(),
  })

const experiment = () =>
  z.strictObject({
    id: z
      .string()
      .regex(LABEL)
      .optional()
      .describe('Who falls to which variant goes by it. Left out, it stays what it is, or is made up.'),
    unit: z.enum(['user', 'key', 'request']).describe('What stays with its variant.'),
    variants: z
      .array(variant())
      .min(2)
      .max(MAX_VARIANTS)
      .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'names a variant twice'),
  })

/** The parts of a routing policy's rules as a caller writes them, without what they are by themselves. */
export const rulesParts = () => ({
  strategy: z.enum(strategies).describe('How targets are put in order where the model is left to us.'),
  targets: targets().describe('What `auto` chooses among; none leaves everything that is configured.'),
  fallbacks: chains().describe(
    'By the name that was asked for, what is tried after it, in order; `*` is for every other name.',
  ),
  caps: caps()
    .nullable()
    .describe('What calls of a complexity may cost and take. A class that is left out keeps the built-in caps.'),
  default_model: model().nullable().describe('Answers where no target fits even without the caps.'),
  cache: cache().nullable(),
  bandit: bandit().nullable(),
  experiment: experiment().nullable(),
})

/** What a version of a routing policy says. */
export function rulesBody() {
  const parts = rulesParts()
  return z.strictObject({
    strategy: parts.strategy.default('priority'),
    targets: parts.targets.default([]),
    fallbacks: parts.fallbacks.default({}),
    caps: parts.caps.default(null),
    default_model: parts.default_model.default(null),
    cache: parts.cache.default(null),
    bandit: parts.bandit.default(null),
    experiment: parts.experiment.default(null),
  })
}
export type RulesBody = z.output<ReturnType<typeof rulesBody>>

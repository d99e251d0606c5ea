import * as z from 'zod'
import { ensembleStrategies } from '../../core/ensemble.ts'
import { MOST_MEMBERS } from './settings.ts'

const Provider = z.string().min(1).max(64)

const fields = {
  strategy: z
    .enum([...ensembleStrategies, 'best_response'])
    .optional()
    .describe('`confidence_weighted` unless said; `best_response` is `best_of_n`.'),
  mode: z
    .enum(['parallel', 'sequential'])
    .optional()
    .describe('`sequential` asks one after another, no more than it takes.'),
  members: z
    .array(z.string().min(1).max(255))
    .min(2)
    .max(MOST_MEMBERS)
    .optional()
    .describe('Names of models; chosen unless named.'),
  min_providers: z.int().min(1).max(MOST_MEMBERS).optional().describe('Answers that it takes; 2 unless said.'),
  max_providers: z.int().min(2).max(MOST_MEMBERS).optional().describe('Models that are asked; 3 unless said.'),
  confidence_threshold: z.number().min(0).max(1).optional().describe('Where a cascade stops; 0.75 unless said.'),
  fallback_to_best: z.boolean().optional().describe('With too few answers the best one is given; unless false.'),
  timeout_ms: z
    .int()
    .min(1000)
    .max(600_000)
    .optional()
    .describe('Of each round of calls; unless said 60,000, and 120,000 for streams.'),
  preferred_providers: z.array(Provider).max(16).optional().describe('The most preferred first.'),
  provider_weights: z
    .record(Provider, z.number().min(0.1).max(10))
    .refine((weights) => Object.keys(weights).length <= 16, 'must have at most 16 entries')
    .optional(),
  judge_model: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe('Who judges and merges; the best of the members unless named.'),
  stream_first: z
    .boolean()
    .optional()
    .describe('Stream the fastest answer, and tell at its end if another one was chosen.'),
}

/** What a call wants of its ensemble, or an organisation of those of calls that say nothing, as it is kept. */
export const EnsembleOptions = z.strictObject(fields)
export type EnsembleOptions = z.output<typeof EnsembleOptions>

/** The same as it is said: nobody can wait for more answers than models are asked. */
export const SaidEnsemble = EnsembleOptions.refine(
  ({ min_providers: least = 1, max_providers: most = least }) => least <= most,
  { path: ['min_providers'], error: 'must not be above max_providers' },
).refine(({ min_providers: least = 1, members }) => members === undefined || least <= members.length, {
  path: ['min_providers'],
  error: 'must not be above the number of members',
})

/** The same where saying nothing is taken for an oversight. */
export const SomeEnsemble = SaidEnsemble.refine(
  (config) => Object.keys(config).length > 0,
  'must have at least one field',
)

export const EnsembleConfigView = z.object({
  object: z.literal('ensemble_config'),
  config: z.record(z.string(), z.unknown()),
  updated_by: z.string().nullable(),
  updated_at: z.int().nullable().describe('Null where nothing was set.'),
})
export type EnsembleConfigView = z.input<typeof EnsembleConfigView>

export const EnsembleStatus = z.object({
  object: z.literal('ensemble_status'),
  from: z.int(),
  to: z.int(),
  calls: z.int(),
  agreement: z.number().nullable().describe('Mean similarity of answers to the same call, 0 to 1.'),
  cost_usd: z.number().describe('Of all calls that they made.'),
  cost_multiple: z
    .number()
    .nullable()
    .describe('What was paid for every dollar that the chosen answers cost by themselves.'),
  members: z
    .array(
      z.object({
        target: z.string().describe('`provider/model`'),
        asked: z.int(),
        answered: z.int(),
        won: z.int(),
        confidence: z.number().nullable(),
        quality: z.number().nullable().describe('0 to 10, where answers were judged.'),
        cost_usd: z.number(),
      }),
    )
    .describe('The hundred that were asked most.'),
})
export type EnsembleStatus = z.input<typeof EnsembleStatus>

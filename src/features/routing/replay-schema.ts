import * as z from 'zod'
import { rulesBody } from '../routing-rules/service.ts'

const WEEK_SECONDS = 7 * 86_400
const Time = z.int().min(0).max(253_402_300_799)

export const ReplayRequest = z
  .strictObject({
    policy_id: z
      .string()
      .regex(/^rpl_[0-9a-hjkmnp-tv-z]{26}$/)
      .optional()
      .describe('A routing policy, as it is now.'),
    policy: rulesBody().optional().describe('The rules of one that there is not yet.'),
    from: Time.optional().describe('Unix seconds; this second included. A week before `to` unless said.'),
    to: Time.optional().describe('Unix seconds; this second not included. Now unless said.'),
  })
  .refine(({ policy_id, policy }) => (policy_id === undefined) !== (policy === undefined), {
    message: 'either policy_id or policy',
  })
  .refine(({ from, to }) => from === undefined || to === undefined || (from < to && to - from <= WEEK_SECONDS), {
    path: ['from'],
    message: 'must be before `to`, by a week at the most',
  })
export type ReplayRequest = z.output<typeof ReplayRequest>

const Estimate = z.object({ value: z.number(), low: z.number().min(0), high: z.number() })
const Told = z
  .object({
    count: z.int().describe('Decisions whose calls tell of it.'),
    logged: z.number().describe('The mean of what there was.'),
    ips: Estimate,
    snips: Estimate.nullable().describe(
      'Null where the policy would have begun no call with the target that was asked.',
    ),
  })
  .nullable()

export const Replayed = z.object({
  object: z.literal('routing_replay'),
  from: z.int(),
  to: z.int(),
  decisions: z.int().describe('That say what they came of, and were read.'),
  truncated: z.boolean().describe('There were more: the newest ten thousand were read.'),
  reproduced: z.int().describe('That their own inputs give again, to the last digit: all of them.'),
  not_reproduced: z.array(z.string()).describe('The ids of others, a hundred at the most.'),
  evaluated: z
    .int()
    .describe(
      'Of calls whose model was left to us and which a target was asked for: those that say anything of a policy.',
    ),
  effective_sample_size: z.number().describe('As many calls under the policy itself would say as much.'),
  unsupported_share: z
    .number()
    .nullable()
    .describe('How much of the policy’s choices never had a chance, 0 to 1: of those nothing can be told.'),
  cost_usd: Told.describe('Of a call. Null for fewer than two decisions.'),
  latency_ms: Told,
  quality: Told.describe('What is expected of the model that answered, 0 to 10.'),
  success: Told.describe('The share of calls that were answered.'),
})
export type Replayed = z.input<typeof Replayed>

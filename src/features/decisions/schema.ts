import * as z from 'zod'
import { pageFields, pageOf } from '../../http/page.ts'

const Time = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const Outcome = z.enum(['ok', 'error', 'aborted', 'budget', 'refused'])

export const DecisionParams = z.object({ id: z.string().regex(/^dec_[0-9a-z]{26}$/) })

export const DecisionsQuery = z.strictObject({
  ...pageFields,
  model: z.string().min(1).max(320).optional().describe('The name that was asked for, or the model that answered.'),
  provider: z.string().min(1).max(64).optional().describe('Whose model answered.'),
  outcome: Outcome.optional(),
  from: Time.optional().describe('Unix seconds; this second included.'),
  to: Time.optional().describe('Unix seconds; this second not included.'),
})
export type DecisionsQuery = z.output<typeof DecisionsQuery>

const Reasoned = z.object({ target: z.string().describe('`provider/model`'), reason: z.string() })

const Candidate = Reasoned.extend({
  score: z.number().optional().describe('What the strategy makes of the figures, where it makes one number of them.'),
  relaxed: z
    .array(z.string())
    .optional()
    .describe('Of the default model of a policy, which no cap of the class keeps out: those that it does not keep.'),
  quality: z.number().optional().describe('0 to 10.'),
  cost_usd: z.number().optional().describe('Estimated before the call.'),
  latency_ms: z.number().optional().describe('Expected.'),
})

const Helper = z.object({
  target: z.string(),
  request_id: z.string(),
  outcome: z.string(),
  cost_usd: z.number(),
  latency_ms: z.int(),
})
const Share = z.number().nullable()

const Ensemble = z.object({
  strategy: z.string(),
  voting_method: z.string().nullable().describe('How the answer was chosen in the end; null where none was.'),
  agreement: Share.describe('Mean similarity of the answers in pairs, 0 to 1.'),
  members: z.array(
    Helper.extend({
      confidence: Share.describe('0 to 1.'),
      score: Share.describe('0 to 1.'),
      quality: Share.describe('0 to 10, where it was judged.'),
      won: z.boolean(),
      calls: z
        .array(z.string())
        .describe('The request id of every call that was made to it, as its row of usage has it.'),
    }),
  ),
  helpers: z.array(Helper.extend({ role: z.enum(['judge', 'merge']) })).describe('Calls that weighed or merged.'),
})

export const DecisionView = z.object({
  id: z.string().describe('As in `x-helix-decision-id`.'),
  object: z.literal('decision'),
  request_id: z.string(),
  key_id: z.string(),
  user_id: z.string().nullable(),
  asked_model: z.string(),
  strategy: z.string().describe('`none` for a call that was refused before its targets were put in order.'),
  candidates: z.array(Candidate).describe('In the order in which they were to be tried.'),
  excluded: z.array(Reasoned),
  attempts: z
    .array(z.object({ target: z.string(), outcome: z.string(), duration_ms: z.int() }))
    .describe('In order. `ok` is an answer, or the first content of a stream; else it is what went wrong.'),
  chosen: z.string().nullable().describe('The target that answered.'),
  outcome: Outcome.describe('`refused`: no target was asked. `budget`: a stream that its budget ended.'),
  propensity: z
    .number()
    .nullable()
    .describe('How likely the first candidate was to be the first, 0 to 1; null where nothing was put in order.'),
  relaxed: z.array(z.string()).describe('Caps of the class that nothing could keep, in the order in which they went.'),
  task_type: z.string().nullable(),
  complexity: z.string().nullable().describe('Null where it was of no account.'),
  routing_policy_id: z.string().nullable().describe('The routing policy that was in force.'),
  routing_policy_version: z.int().nullable(),
  experiment: z
    .object({ id: z.string(), variant: z.string(), propensity: z.number() })
    .nullable()
    .describe('The variant that the call fell to, and how likely that was.'),
  ensemble: Ensemble.nullable().describe('Of a call that several models answered together.'),
  cache: z.enum(['off', 'miss', 'exact']),
  saved_usd: z.number().nullable().describe('Of an answer that was kept: what it had cost when it was made.'),
  is_stream: z.boolean(),
  policy_version: z.string(),
  prices_version: z.string(),
  created_at: z.int().describe('When it ended.'),
})

export const DecisionPage = pageOf(DecisionView)

export const WholeDecision = DecisionView.extend({
  inputs: z
    .record(z.string(), z.unknown())
    .nullable()
    .describe('Everything that the order came of, figures included: the same order can be worked out of it again.'),
})
export type WholeDecision = z.input<typeof WholeDecision>

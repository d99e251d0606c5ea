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

export const DecisionView = z.object({
  id: z.string().describe('As in `x-helix-decision-id`.'),
  object: z.literal('decision'),
  request_id: z.string(),
  key_id: z.string(),
  user_id: z.string().nullable(),
  asked_model: z.string(),
  strategy: z.string().describe('`none` for a call that was refused before its targets were put in order.'),
  candidates: z.array(Reasoned).describe('In the order in which they were to be tried.'),
  excluded: z.array(Reasoned),
  attempts: z
    .array(z.object({ target: z.string(), outcome: z.string(), duration_ms: z.int() }))
    .describe('In order. `ok` is an answer, or the first content of a stream; else it is what went wrong.'),
  chosen: z.string().nullable().describe('The target that answered.'),
  outcome: Outcome.describe('`refused`: no target was asked. `budget`: a stream that its budget ended.'),
  cache: z.enum(['off', 'miss', 'exact']),
  is_stream: z.boolean(),
  policy_version: z.string(),
  prices_version: z.string(),
  created_at: z.int().describe('When it ended.'),
})
export type DecisionView = z.input<typeof DecisionView>

export const DecisionPage = pageOf(DecisionView)

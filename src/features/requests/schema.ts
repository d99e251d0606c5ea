import * as z from 'zod'
import { pageFields, pageOf } from '../../http/page.ts'

const Id = z.string().min(1).max(64)
const Time = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER)

export const RequestParams = z.object({ id: z.string().regex(/^req_[0-9a-z]{26}$/) })

export const RequestsQuery = z.strictObject({
  ...pageFields,
  key_id: Id.optional().describe("The key's id, or the session's."),
  user_id: Id.optional().describe('The person behind it.'),
  status: z
    .string()
    .regex(/^[1-5](?:\d\d|xx)$/, 'must be a status such as 404, or a class such as 4xx')
    .optional()
    .describe('A status such as `429`, or a class of them: `4xx`.'),
  path: z.string().min(1).max(255).optional().describe('A route as the reference names it, with `:id` for `{id}`.'),
  from: Time.optional().describe('Unix seconds; this second included.'),
  to: Time.optional().describe('Unix seconds; this second not included.'),
})
export type RequestsQuery = z.output<typeof RequestsQuery>

const RequestFields = z.object({
  id: z.string().describe('As in `x-request-id`.'),
  object: z.literal('request'),
  key_id: z.string().nullable(),
  user_id: z.string().nullable(),
  method: z.string(),
  path: z.string().describe('The route: what stood in place of its parameters is not kept.'),
  status_code: z.int(),
  error_code: z.string().nullable(),
  ip: z.string().nullable().describe('The /24 or /48 that the address is in.'),
  user_agent: z.string().nullable(),
  client_request_id: z.string().nullable(),
  response_time_ms: z.int().describe('Until the last byte, for a call of a model.'),
  bytes_in: z.int().nullable().describe('Null for a body that came without its length.'),
  bytes_out: z.int().nullable().describe('Of the body as it was written; null where nobody counted.'),
  created_at: z.int().describe('When it ended.'),
})

export const RequestPage = pageOf(RequestFields)

/** A call of a model, as the ledger has it. */
const CallView = z.object({
  id: z.string(),
  request_id: z.string().describe('Its own, where it was made for the request: by a member of an ensemble, say.'),
  operation: z.string(),
  provider: z.string(),
  model: z.string(),
  status: z.enum(['ok', 'error', 'aborted', 'budget', 'unknown']),
  error_code: z.string().nullable(),
  stream: z.boolean(),
  attempts: z.int(),
  usage: z.object({
    prompt_tokens: z.int(),
    cached_tokens: z.int(),
    cache_write_tokens: z.int(),
    completion_tokens: z.int(),
    reasoning_tokens: z.int(),
  }),
  estimated: z.boolean().describe('The counts are ours, not the vendor’s.'),
  cost_usd: z.string().describe('A decimal number.'),
  price_id: z.string(),
  latency_ms: z.int(),
  ttft_ms: z.int().nullable(),
  created_at: z.int(),
})
export type CallView = z.output<typeof CallView>

export type RequestFields = z.output<typeof RequestFields>
export const RequestView = RequestFields.extend({
  calls: z
    .array(CallView)
    .describe('What of it was booked: nothing, for a request that reached no model; the request itself first.'),
  cost_usd: z.string().describe('Of all its calls together; a decimal number.'),
})
export type RequestView = z.output<typeof RequestView>

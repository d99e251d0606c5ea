import * as z from 'zod'
import { pageFields, pageOf } from '../../http/page.ts'

const Id = z.string().min(1).max(64)
const Name = z.string().min(1).max(320)
const Time = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const Status = z.enum(['ok', 'error', 'aborted', 'budget', 'unknown'])

const filters = {
  from: Time.optional().describe('Unix seconds; this second included.'),
  to: Time.optional().describe('Unix seconds; this second not included.'),
  key_id: Id.optional().describe("The key's id, or the session's."),
  user_id: Id.optional().describe('The person behind it.'),
  agent_id: Id.optional().describe('The agent whose key it was.'),
  run_id: Id.optional().describe('The run that it named; not those that this one started.'),
  model: Name.optional(),
  provider: Name.optional(),
  status: Status.optional(),
}

export type UsageFilters = {
  from?: number | undefined
  to?: number | undefined
  key_id?: string | undefined
  user_id?: string | undefined
  agent_id?: string | undefined
  run_id?: string | undefined
  model?: string | undefined
  provider?: string | undefined
  status?: z.output<typeof Status> | undefined
}

export const UsageQuery = z.strictObject({ ...pageFields, ...filters })
export type UsageQuery = z.output<typeof UsageQuery>

export const groups = ['model', 'provider', 'key', 'user', 'agent', 'run', 'day', 'hour'] as const
export type Group = (typeof groups)[number]

export const SummaryQuery = z.strictObject({
  group_by: z.enum(groups).default('model').describe('Days and hours are UTC.'),
  ...filters,
  from: filters.from.describe('Unix seconds; 30 days before the end unless said otherwise.'),
})
export type SummaryQuery = z.output<typeof SummaryQuery>

export const ExportQuery = z.strictObject({ format: z.enum(['csv', 'json']).default('csv'), ...filters })
export type ExportQuery = z.output<typeof ExportQuery>

export const UsageRow = z.object({
  id: z.string(),
  object: z.literal('usage'),
  request_id: z.string(),
  key_id: z.string(),
  user_id: z.string().nullable(),
  agent_id: z.string().nullable(),
  run_id: z.string().nullable(),
  operation: z.string(),
  provider: z.string(),
  model: z.string(),
  status: Status.describe('`unknown`: the call was never heard of again, and what it held stands for its cost.'),
  error_code: z.string().nullable(),
  stream: z.boolean(),
  attempts: z.int(),
  prompt_tokens: z.int(),
  cached_tokens: z.int(),
  cache_write_tokens: z.int(),
  completion_tokens: z.int(),
  reasoning_tokens: z.int(),
  cost_usd: z.string().describe('A decimal number, exact to the nano-dollar.'),
  estimated: z.boolean().describe('The counts are ours, not the vendor’s.'),
  price_id: z.string(),
  prices_hash: z.string(),
  latency_ms: z.int(),
  ttft_ms: z.int().nullable(),
  created_at: z.int(),
})
export type UsageRow = z.output<typeof UsageRow>

export const UsagePage = pageOf(UsageRow)

const sums = {
  calls: z.int(),
  errors: z.int().describe('Calls that ended with the status `error`.'),
  prompt_tokens: z.int(),
  cached_tokens: z.int(),
  cache_write_tokens: z.int(),
  completion_tokens: z.int(),
  reasoning_tokens: z.int(),
  cost_usd: z.string().describe('A decimal number, exact to the nano-dollar.'),
}

export const Summary = z.object({
  object: z.literal('usage_summary'),
  group_by: z.enum(groups),
  from: z.int(),
  to: z.int(),
  data: z
    .array(z.object({ group: z.union([z.string(), z.int()]).nullable(), ...sums }))
    .describe('By cost, the dearest first; days and hours by time, each named by the second that it begins with.'),
  total: z.object(sums),
})
export type Summary = z.output<typeof Summary>

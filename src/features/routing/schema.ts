import * as z from 'zod'

const TargetName = z.string().min(3).max(320)

/** As a path has it: the slashes of `provider/model` are encoded. */
export const TargetParams = z.object({ target: TargetName })

export const StatsQuery = z.strictObject({
  provider: z.string().min(1).max(64).optional(),
  model: z.string().min(1).max(255).optional(),
  task_type: z.string().min(1).max(64).optional(),
  window_hours: z.coerce.number().int().min(1).max(720).default(24).describe('How many hours back from this one.'),
})
export type StatsQuery = z.output<typeof StatsQuery>

const ms = z.int().nullable()

const LiveFigures = z
  .object({
    state: z.enum(['closed', 'open', 'half_open', 'cooling']),
    calls: z.number().describe('How much is behind the figures: it fades by half a day.'),
    latency_p50_ms: ms,
    latency_p95_ms: ms,
    ttft_p50_ms: ms,
    tokens_per_second: z.number().nullable(),
    error_rate: z.number().describe('Of the last minutes: it fades by half in five.'),
  })
  .describe('As routing sees the target now; of the installation’s own providers over all organisations.')

export const Stats = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      object: z.literal('model_stats'),
      provider: z.string(),
      model: z.string(),
      task_type: z.string(),
      calls: z.int(),
      ok: z.int(),
      errors: z.record(z.string(), z.int()).describe('Failed calls by what went wrong.'),
      latency_p50_ms: ms.describe('Percentiles are means of those of the hours, weighted by their calls.'),
      latency_p95_ms: ms,
      ttft_p50_ms: ms,
      ttft_p95_ms: ms,
      tokens_per_second: z.number().nullable(),
      prompt_tokens: z.int(),
      completion_tokens: z.int(),
      cost_usd: z.string(),
      quality_mean: z.number().nullable().describe('Of judged answers, 0 to 10.'),
      quality_count: z.int(),
      live: LiveFigures.nullable().describe('Null where Redis does not answer, or the provider is gone.'),
    }),
  ),
})
export type StatsView = z.input<typeof Stats>['data'][number]

export const BreakerView = z.object({
  object: z.literal('breaker'),
  target: z.string().describe('`provider/model`'),
  state: z.enum(['closed', 'open', 'half_open', 'cooling']).describe('`cooling`: it said that it has no capacity.'),
  until: z.int().nullable().describe('Until when nobody tries it. Unix seconds.'),
  failures: z.int().describe('In a row.'),
  openings: z.int().describe('How often in a row it was opened.'),
})
export type BreakerView = z.input<typeof BreakerView>

export const BreakersQuery = z.strictObject({
  all: z.enum(['true', 'false']).default('false').describe('Also those that are closed.'),
})

export const Breakers = z.object({ object: z.literal('list'), data: z.array(BreakerView) })

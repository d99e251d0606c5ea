import { sql } from 'drizzle-orm'
import { secondsOf } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import type { Row } from '../../core/db.ts'
import { DependencyError } from '../../core/errors.ts'
import { figuresIdOf } from '../../core/figures.ts'
import { usdTextFromNano } from '../../core/money.ts'
import { type Live, readLive } from './live.ts'
import type { StatsQuery, StatsView } from './schema.ts'

/** More kinds of calls than that, and the least used are left out. */
const MOST_ROWS = 500

/** How calls went, by target and kind of task, and how the targets are now. */
export async function readStats(ctx: Ctx, query: StatsQuery): Promise<StatsView[]> {
  const rows = await readRows(ctx, query)
  const live = await liveOf(ctx, rows)
  return rows.map((row, at) => toView(row, live[at]))
}

async function readRows({ db, now, caller: { orgId } }: Ctx, query: StatsQuery): Promise<Row[]> {
  const { provider = null, model = null, task_type = null, window_hours } = query
  const since = secondsOf(now()) - window_hours * 3600
  const [{ rows }] = await db.atomically(orgId, (builder) => [
    builder.execute(sql`
      with hours as (
        select * from model_stats where org_id = ${orgId} and hour >= ${since}
          and (${provider}::text is null or provider = ${provider})
          and (${model}::text is null or model = ${model})
          and (${task_type}::text is null or task_type = ${task_type})),
      faults as (
        select provider, model, task_type, jsonb_object_agg(code, count) as errors from (
          select provider, model, task_type, code, sum(count::int) as count
          from hours, jsonb_each_text(errors) as fault(code, count) group by 1, 2, 3, 4) by_code
        group by 1, 2, 3)
      select provider, model, task_type, sum(calls) as calls, sum(ok) as ok, coalesce(faults.errors, '{}') as errors,
        ${weighed('latency_p50_ms')}, ${weighed('latency_p95_ms')}, ${weighed('ttft_p50_ms')},
        ${weighed('ttft_p95_ms')}, ${weighed('tokens_per_second')}, sum(prompt_tokens) as prompt_tokens,
        sum(completion_tokens) as completion_tokens, sum(cost_nanos) as cost_nanos,
        sum(quality_mean * quality_count) / nullif(sum(quality_count), 0) as quality_mean,
        sum(quality_count) as quality_count
      from hours left join faults using (provider, model, task_type)
      group by provider, model, task_type, faults.errors order by calls desc, provider, model, task_type limit ${MOST_ROWS}`),
  ])
  return rows
}

/** A mean over the hours that know the figure, by their answered calls. */
function weighed(column: string) {
  const name = sql.identifier(column)
  return sql`sum(${name} * ok) / nullif(sum(ok) filter (where ${name} is not null), 0) as ${name}`
}

async function liveOf(ctx: Ctx, rows: readonly Row[]): Promise<readonly (Live | undefined)[]> {
  const ids = rows.map(({ provider, model }) => {
    const known = ctx.providers.get(String(provider))
    return known && figuresIdOf(known, String(model))
  })
  const asked = [...new Set(ids.filter((id) => id !== undefined))]
  try {
    const told = await readLive(ctx, asked)
    return ids.map((id) => (id === undefined ? undefined : told[asked.indexOf(id)]))
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    return []
  }
}

function toView(row: Row, live: Live | undefined): StatsView {
  return {
    object: 'model_stats',
    provider: String(row.provider),
    model: String(row.model),
    task_type: String(row.task_type),
    calls: Number(row.calls),
    ok: Number(row.ok),
    errors: Object.fromEntries(Object.entries(Object(row.errors)).map(([code, count]) => [code, Number(count)])),
    latency_p50_ms: whole(row.latency_p50_ms),
    latency_p95_ms: whole(row.latency_p95_ms),
    ttft_p50_ms: whole(row.ttft_p50_ms),
    ttft_p95_ms: whole(row.ttft_p95_ms),
    tokens_per_second: numberOf(row.tokens_per_second),
    prompt_tokens: Number(row.prompt_tokens),
    completion_tokens: Number(row.completion_tokens),
    cost_usd: usdTextFromNano(Number(row.cost_nanos)),
    quality_mean: numberOf(row.quality_mean),
    quality_count: Number(row.quality_count),
    live: live ? liveView(live) : null,
  }
}

const numberOf = (value: unknown): number | null => (value === null || value === undefined ? null : Number(value))

function whole(value: unknown): number | null {
  const number = numberOf(value)
  return number === null ? null : Math.round(number)
}

function liveView({ state, figures }: Live): StatsView['live'] {
  return {
    state,
    calls: figures?.calls ?? 0,
    latency_p50_ms: whole(figures?.latencyMs),
    latency_p95_ms: whole(figures?.latencyP95Ms),
    ttft_p50_ms: whole(figures?.ttftMs),
    tokens_per_second: numberOf(figures?.tokensPerSecond),
    error_rate: figures?.errorRate ?? 0,
  }
}

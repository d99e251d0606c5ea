import { sql } from 'drizzle-orm/sql'
import type { Job, JobDeps } from '../../core/jobs.ts'

const HOUR_SECONDS = 3600
const KEPT_SECONDS = 90 * 86_400
/** An organisation that was not come to for longer than that has a gap. */
const MOST_SECONDS = 7 * 86_400
/** Rows of a call may be written long after it, where Postgres was away: the last hours are worked out again. */
const AGAIN_SECONDS = 3 * HOUR_SECONDS

/** Every hour, how the calls of the hours before went. */
export const routingJobs: readonly Job[] = [
  {
    name: 'model_stats',
    hourUtc: 'every',
    run: (deps, { dueMs, eachOrg }) => {
      const untilHour = Math.floor(dueMs / 1000 / HOUR_SECONDS) * HOUR_SECONDS
      return eachOrg((orgId) => rollUp(deps, orgId, untilHour))
    },
  },
]

/**
 * Makes the rows of `model_stats` for the hours since the last that has any, which is made again with those before it.
 * Answers that came from the cache say nothing of a model. An ensemble's members belong to the decision of their parent;
 * a call that was made inside a request has one of its own.
 */
export async function rollUp({ db }: Pick<JobDeps, 'db'>, orgId: string, untilHour: number): Promise<void> {
  const least = untilHour - MOST_SECONDS
  await db.atomically(orgId, (query) => [
    query.execute(sql`
      with since as (
        select greatest(${least}::bigint, coalesce(max(hour), 0) - ${AGAIN_SECONDS}) as hour
        from model_stats where org_id = ${orgId} and hour < ${untilHour}),
      calls as (
        select l.created_at / ${HOUR_SECONDS} * ${HOUR_SECONDS} as hour, l.provider, l.model,
          coalesce(d.task_type, 'unknown') as task_type, l.status in ('ok', 'budget') as ok, l.error_code,
          l.latency_ms, l.ttft_ms, l.prompt_tokens, l.completion_tokens, l.cost_nanos,
          (select (m ->> 'quality')::float8 from jsonb_array_elements(
              case when jsonb_typeof(d.ensemble -> 'members') = 'array' then d.ensemble -> 'members' else '[]' end) m
            where m ->> 'request_id' = l.request_id and jsonb_typeof(m -> 'quality') = 'number' limit 1) as quality
        from usage_ledger l
        left join decisions own on own.org_id = ${orgId} and own.request_id = l.request_id
        left join decisions d on d.org_id = ${orgId}
          and d.request_id = case when own.id is null then l.parent_request_id else l.request_id end
        where l.org_id = ${orgId} and l.created_at >= (select hour from since) and l.created_at < ${untilHour}
          and l.status not in ('aborted', 'unknown') and d.cache is distinct from 'exact'),
      faults as (
        select hour, provider, model, task_type, jsonb_object_agg(error_code, count) as errors
        from (
          select hour, provider, model, task_type, coalesce(error_code, 'unknown') as error_code, count(*) as count
          from calls where not ok group by 1, 2, 3, 4, 5) by_code
        group by 1, 2, 3, 4),
      figures as (
        select hour, provider, model, task_type, count(*) as calls, count(*) filter (where ok) as ok,
          percentile_cont(0.5) within group (order by latency_ms) filter (where ok) as latency_p50_ms,
          percentile_cont(0.95) within group (order by latency_ms) filter (where ok) as latency_p95_ms,
          percentile_cont(0.5) within group (order by ttft_ms) filter (where ok) as ttft_p50_ms,
          percentile_cont(0.95) within group (order by ttft_ms) filter (where ok) as ttft_p95_ms,
          sum(completion_tokens) filter (where ok) * 1000.0
            / nullif(sum(latency_ms - coalesce(ttft_ms, 0)) filter (where ok), 0) as tokens_per_second,
          sum(prompt_tokens) as prompt_tokens, sum(completion_tokens) as completion_tokens,
          percentile_cont(0.75) within group (order by completion_tokens) filter (where ok) as completion_p75,
          sum(cost_nanos) as cost_nanos, avg(quality) as quality_mean, count(quality) as quality_count
        from calls group by 1, 2, 3, 4)
      insert into model_stats (org_id, hour, provider, model, task_type, calls, ok, errors, latency_p50_ms, latency_p95_ms,
        ttft_p50_ms, ttft_p95_ms, tokens_per_second, prompt_tokens, completion_tokens, completion_p75, cost_nanos,
        quality_mean, quality_count)
      select ${orgId}, hour, provider, model, task_type, calls, ok, coalesce(errors, '{}'), latency_p50_ms::int,
        latency_p95_ms::int, ttft_p50_ms::int, ttft_p95_ms::int, tokens_per_second, prompt_tokens, completion_tokens,
        completion_p75::int, cost_nanos, quality_mean, quality_count
      from figures left join faults using (hour, provider, model, task_type)
      on conflict (org_id, hour, provider, model, task_type) do update set calls = excluded.calls, ok = excluded.ok,
        errors = excluded.errors, latency_p50_ms = excluded.latency_p50_ms, latency_p95_ms = excluded.latency_p95_ms,
        ttft_p50_ms = excluded.ttft_p50_ms, ttft_p95_ms = excluded.ttft_p95_ms,
        tokens_per_second = excluded.tokens_per_second, prompt_tokens = excluded.prompt_tokens,
        completion_tokens = excluded.completion_tokens, completion_p75 = excluded.completion_p75,
        cost_nanos = excluded.cost_nanos, quality_mean = excluded.quality_mean, quality_count = excluded.quality_count`),
    query.execute(sql`delete from model_stats where org_id = ${orgId} and hour < ${untilHour - KEPT_SECONDS}`),
  ])
}

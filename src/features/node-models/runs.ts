import { sql } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import type { NodeRuns } from '../../core/node.ts'
import { type TaskType, taskTypes } from '../../core/tasks.ts'

/** Calls of one model for one kind of task. Sums, so that they can be added up. */
export type Tally = {
  provider: string
  model: string
  taskType: TaskType
  calls: number
  ok: number
  /** Of those that went well, as all sums below. */
  latencyMs: number
  tokens: number
  /** Of those of `tokens`: from the first content to the end. */
  generationMs: number
  /** Unix seconds. */
  lastAt: number
}

const isTask = (text: unknown): text is TaskType => taskTypes.some((one) => one === text)

/**
 * How the calls of these providers' models went that the books have since then, by model and task: one statement.
 * Answers that were kept say nothing of a model, and neither does a call that its caller ended. Unix seconds.
 * Throws `DependencyError('postgres')`.
 */
export async function readTallies(
  { db, caller: { orgId } }: Pick<Ctx, 'db' | 'caller'>,
  { providers, since }: { providers: readonly string[]; since: number },
): Promise<Tally[]> {
  if (providers.length === 0) return []
  const names = sql.join(
    providers.map((name) => sql`${name}`),
    sql`, `,
  )
  const [{ rows }] = await db.atomically(orgId, (query) => [
    query.execute(sql`
      with calls as (
        select l.provider, l.model, l.latency_ms, l.ttft_ms, l.completion_tokens, l.created_at,
          l.status in ('ok', 'budget') as ok, coalesce(d.task_type,
            case l.operation when 'embedding' then 'embedding_generation' else 'text_generation' end) as task_type
        from usage_ledger l
        left join decisions own on own.org_id = ${orgId} and own.request_id = l.request_id
        left join decisions d on d.org_id = ${orgId}
          and d.request_id = case when own.id is null then l.parent_request_id else l.request_id end
        where l.org_id = ${orgId} and l.created_at >= ${since} and l.provider in (${names})
          and l.status not in ('aborted', 'unknown') and d.cache is distinct from 'exact')
      select provider, model, task_type, count(*) as calls, count(*) filter (where ok) as ok,
        coalesce(sum(latency_ms) filter (where ok), 0) as latency_ms,
        coalesce(sum(completion_tokens) filter (where ok), 0) as tokens,
        coalesce(sum(latency_ms - coalesce(ttft_ms, 0)) filter (where ok and completion_tokens > 0), 0) as generation_ms,
        max(created_at) as last_at
      from calls group by 1, 2, 3 order by 1, 2, 3`),
  ])
  return rows.flatMap(({ provider, model, task_type, ...sums }) =>
    isTask(task_type)
      ? [
          {
            provider: String(provider),
            model: String(model),
            taskType: task_type,
            calls: Number(sums.calls),
            ok: Number(sums.ok),
            latencyMs: Number(sums.latency_ms),
            tokens: Number(sums.tokens),
            generationMs: Number(sums.generation_ms),
            lastAt: Number(sums.last_at),
          },
        ]
      : [],
  )
}

/** All of them as one; undefined for none. */
export function together(tallies: readonly Tally[]): NodeRuns | undefined {
  if (tallies.length === 0) return undefined
  const sum = (of: (one: Tally) => number): number => tallies.reduce((total, one) => total + of(one), 0)
  const [calls, ok, tokens, generationMs] = [
    sum((one) => one.calls),
    sum((one) => one.ok),
    sum((one) => one.tokens),
    sum((one) => one.generationMs),
  ]
  return {
    calls,
    ok,
    meanMs: ok === 0 ? undefined : sum((one) => one.latencyMs) / ok,
    tokensPerSecond: generationMs === 0 || tokens === 0 ? undefined : (tokens * 1000) / generationMs,
    meanTokens: ok === 0 || tokens === 0 ? undefined : tokens / ok,
    lastAt: Math.max(...tallies.map(({ lastAt }) => lastAt)),
  }
}

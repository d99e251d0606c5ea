import type { Ctx } from '../../core/context.ts'
import type { TaskType } from '../../core/tasks.ts'
import { type Tally, together } from './runs.ts'
import { measured } from './score.ts'
import { type ContentType, contentOf } from './tasks.ts'
import { modelStats, shownNodes, talliesOf } from './views.ts'

const MOST_POINTS = 30

type Wanted = { task_type?: TaskType | undefined; content_type?: ContentType | undefined; limit: number }

/** How the models of the nodes did in the last seven days, the best first, each over all nodes that have it. */
export async function listPerformance(ctx: Ctx, { task_type, content_type, limit }: Wanted) {
  const tallies = (await talliesOf(ctx, await shownNodes(ctx))).filter(
    ({ taskType }) =>
      (task_type === undefined || taskType === task_type) &&
      (content_type === undefined || contentOf(taskType) === content_type),
  )
  return [...Map.groupBy(tallies, ({ model }) => model)]
    .flatMap(([model, some]) => {
      const runs = together(some)
      if (!runs) return []
      return [
        {
          model,
          nodes: [...new Set(some.map(({ provider }) => provider))],
          success_rate: runs.ok / runs.calls,
          average_response_time_ms: runs.meanMs ?? null,
          average_tokens_per_second: runs.tokensPerSecond ?? null,
          error_count: runs.calls - runs.ok,
          total_requests: runs.calls,
          last_updated: runs.lastAt,
          performance_score: ((measured(runs) ?? 0) * 100) / MOST_POINTS,
        },
      ]
    })
    .toSorted((one, other) => other.performance_score - one.performance_score || (one.model < other.model ? -1 : 1))
    .slice(0, limit)
}

export async function statsView(ctx: Ctx, { name, windowHours }: { name: string; windowHours: number }) {
  const { nodes, tallies } = await modelStats(ctx, name, windowHours)
  const runs = together(tallies)
  const calls = runs?.calls ?? 0
  const ok = runs?.ok ?? 0
  return {
    model: name,
    nodes: [...new Set([...nodes, ...tallies.map(({ provider }) => provider)])],
    window_hours: windowHours,
    total_requests: calls,
    successful_requests: ok,
    failed_requests: calls - ok,
    success_rate: calls === 0 ? null : ok / calls,
    average_response_time_ms: runs?.meanMs ?? null,
    average_tokens_per_second: runs?.tokensPerSecond ?? null,
    task_distribution: counted(tallies, ({ taskType }) => taskType),
    content_type_distribution: counted(tallies, ({ taskType }) => contentOf(taskType)),
    last_used: runs?.lastAt ?? null,
  }
}

function counted(tallies: readonly Tally[], by: (one: Tally) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const one of tallies) counts[by(one)] = (counts[by(one)] ?? 0) + one.calls
  return counts
}

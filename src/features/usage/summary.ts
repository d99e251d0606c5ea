import { type SQL, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { usdTextFromNano } from '../../core/money.ts'
import { usageLedger } from '../ledger/table.ts'
import { isWanted } from './rows.ts'
import type { Group, Summary, SummaryQuery } from './schema.ts'

const DEFAULT_RANGE_SECONDS = 30 * 86_400
const MAX_GROUPS = 1000

const column: Readonly<Record<Group, SQL>> = {
  model: sql`${usageLedger.model}`,
  provider: sql`${usageLedger.provider}`,
  key: sql`${usageLedger.key_id}`,
  user: sql`${usageLedger.user_id}`,
  agent: sql`${usageLedger.agent_id}`,
  run: sql`${usageLedger.run_id}`,
  day: sql`${usageLedger.created_at} / 86400 * 86400`,
  hour: sql`${usageLedger.created_at} / 3600 * 3600`,
}

const counts = [
  'prompt_tokens',
  'cached_tokens',
  'cache_write_tokens',
  'completion_tokens',
  'reasoning_tokens',
] as const

type Sums = Summary['total']

/** Calls, tokens and cost by group and in all. Throws 422 for more groups than fit into an answer. */
export async function summarise(ctx: Ctx, { group_by, ...given }: SummaryQuery): Promise<Summary> {
  const { orgId } = ctx.caller
  const to = given.to ?? nowSeconds(ctx) + 1
  const from = given.from ?? Math.max(0, to - DEFAULT_RANGE_SECONDS)
  const isTime = group_by === 'day' || group_by === 'hour'
  const group = column[group_by]
  const [{ rows }] = await ctx.db.atomically(orgId, (query) => [
    query.execute(
      sql`select grouped.*, grouping = 1 as is_total from (
          select ${group} as name, grouping(${group}) as grouping, count(*)::text as calls,
            count(*) filter (where status = 'error')::text as errors,
            ${sql.join(
              counts.map((name) => sql`coalesce(sum(${sql.identifier(name)}), 0)::text as ${sql.identifier(name)}`),
              sql`, `,
            )},
            coalesce(sum(cost_nanos), 0) as cost
          from ${usageLedger} where ${isWanted(orgId, { ...given, from, to })}
          group by grouping sets ((), (${group}))
        ) as grouped
        order by grouping desc, ${isTime ? sql`name` : sql`cost desc, name`} limit ${MAX_GROUPS + 2}`,
    ),
  ])
  const [total, ...groups] = rows
  if (groups.length > MAX_GROUPS) {
    throw new AppError('invalid_request', `More than ${MAX_GROUPS} groups: narrow the range with from and to.`, {
      status: 422,
      param: 'from',
    })
  }
  return {
    object: 'usage_summary',
    group_by,
    from,
    to,
    data: groups.map((row) => ({ group: nameOf(row.name, isTime), ...sumsOf(row) })),
    total: sumsOf(total ?? {}),
  }
}

const nameOf = (name: unknown, isTime: boolean): string | number | null =>
  name === null ? null : isTime ? Number(name) : String(name)

const sumsOf = (row: Record<string, unknown>): Sums => ({
  calls: Number(row.calls ?? 0),
  errors: Number(row.errors ?? 0),
  prompt_tokens: Number(row.prompt_tokens ?? 0),
  cached_tokens: Number(row.cached_tokens ?? 0),
  cache_write_tokens: Number(row.cache_write_tokens ?? 0),
  completion_tokens: Number(row.completion_tokens ?? 0),
  reasoning_tokens: Number(row.reasoning_tokens ?? 0),
  cost_usd: usdTextFromNano(BigInt(String(row.cost ?? 0))),
})

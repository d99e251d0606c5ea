import { and, eq, gte, sql } from 'drizzle-orm'
import type * as z from 'zod'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { usdFromNano } from '../../core/money.ts'
import { decisions } from '../decisions/table.ts'
import { cacheKeys } from './key.ts'
import type { CacheStats, StatsQuery } from './schema.ts'
import { countScript } from './scripts.ts'

/**
 * What is kept now, and what came of it lately, as the decisions of the calls tell it: so a hit costs no store anything.
 * Throws `DependencyError('redis')` and `DependencyError('postgres')`.
 */
export async function cacheStats(ctx: Ctx, { hours }: StatsQuery): Promise<z.input<typeof CacheStats>> {
  const { orgId } = ctx.caller
  const since = nowSeconds(ctx) - hours * 3600
  const [entries, [[row]]] = await Promise.all([
    ctx.redis.run(countScript, [cacheKeys.due(orgId)], [ctx.now()]),
    ctx.db.atomically(orgId, (query) => [
      query
        .select({
          hits: sql<string>`count(*) filter (where ${decisions.cache} = 'exact')`,
          misses: sql<string>`count(*) filter (where ${decisions.cache} = 'miss')`,
          savedNanos: sql<string>`coalesce(sum(${decisions.saved_nanos}), 0)`,
        })
        .from(decisions)
        .where(and(eq(decisions.org_id, orgId), gte(decisions.created_at, since))),
    ]),
  ])
  const [hits, misses] = [Number(row?.hits ?? 0), Number(row?.misses ?? 0)]
  return {
    object: 'cache_stats',
    entries: Number(entries),
    since,
    hits,
    misses,
    hit_rate: hits + misses === 0 ? null : hits / (hits + misses),
    saved_usd: usdFromNano(Number(row?.savedNanos ?? 0)),
  }
}

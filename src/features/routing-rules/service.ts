import { and, desc, eq, gt, gte, isNull, or, type SQL, sql } from 'drizzle-orm'
import type { Policy } from '../../core/admission.ts'
import type { QueryBuilder } from '../../core/db.ts'
import { namesSubject } from '../subjects/service.ts'
import { isLive, type PolicyRow } from './rows.ts'
import { modelMarks, modelStats, routingPolicies } from './table.ts'

export { readPolicy as readRoutingPolicy } from './rows.ts'
export { rulesOf } from './rules.ts'
export { type RulesBody, rulesBody } from './rules-schema.ts'

type Marked = Pick<typeof modelMarks.$inferSelect, 'model' | 'reason' | 'until'>

/** Of one target; sums come as text. */
type Judged = { provider: string; model: string; mean: string; count: string }

const JUDGED_SECONDS = 30 * 86_400
/** Every caller carries them: of more targets those that were judged most often. */
const MOST_JUDGED = 100

/** Of the credential's own, its agent's and its organisation's; `agentOf` selects the agent. */
export type Governed = { orgId: string; id: string; agentOf: SQL; nowSeconds: number }

/** What an organisation's rules are for one of its credentials: to be asked together with the rest of its policy. */
export const rulesQueries = (query: QueryBuilder, { orgId, id, agentOf, nowSeconds }: Governed) => {
  const { attach_kind, attach_id } = routingPolicies
  return [
    query
      .select()
      .from(routingPolicies)
      .where(
        and(
          isLive(orgId),
          or(
            and(eq(attach_kind, 'org'), eq(attach_id, orgId)),
            and(eq(attach_kind, 'key'), namesSubject(attach_id, orgId, id)),
            and(eq(attach_kind, 'agent'), sql`${attach_id} = (${agentOf})`),
          ),
        ),
      )
      .orderBy(desc(routingPolicies.id)),
    query
      .select({ model: modelMarks.model, reason: modelMarks.reason, until: modelMarks.until })
      .from(modelMarks)
      .where(
        and(
          eq(modelMarks.org_id, orgId),
          eq(modelMarks.available, false),
          or(isNull(modelMarks.until), gt(modelMarks.until, nowSeconds)),
        ),
      )
      .orderBy(modelMarks.model),
    judgedQuery(query, orgId, nowSeconds - JUDGED_SECONDS),
  ] as const
}

/** Rounded, so that an equal policy reads the same whatever order the hours were added in. */
function judgedQuery(query: QueryBuilder, orgId: string, sinceSeconds: number) {
  const { org_id, hour, provider, model, quality_mean, quality_count } = modelStats
  const count = sql<string>`sum(${quality_count})`
  return query
    .select({
      provider,
      model,
      mean: sql<string>`round((sum(${quality_mean} * ${quality_count}) / ${count})::numeric, 3)`,
      count,
    })
    .from(modelStats)
    .where(and(eq(org_id, orgId), gte(hour, sinceSeconds), gt(quality_count, 0)))
    .groupBy(provider, model)
    .orderBy(desc(count), provider, model)
    .limit(MOST_JUDGED)
}

/** Nearest first. */
const NEARNESS = ['key', 'agent', 'org'] as const

/** The part of a caller's policy that these rows make; none of it where there are none. */
export function routingOf(
  rows: readonly PolicyRow[],
  marked: readonly Marked[],
  judged: readonly Judged[],
): Pick<Policy, 'routing' | 'marks' | 'marked'> {
  const nearest = NEARNESS.map((kind) => rows.find(({ attach_kind }) => attach_kind === kind)).find(Boolean)
  const marks = marked.map(({ model, reason, until }) => ({
    model,
    reason,
    ...(until !== null && { untilMs: until * 1000 }),
  }))
  return {
    ...(nearest && { routing: { ...nearest.rules, id: nearest.id, version: nearest.version } }),
    ...(marks.length > 0 && { marks }),
    ...(judged.length > 0 && {
      marked: Object.fromEntries(
        judged.map(({ provider, model, mean, count }) => [`${provider}/${model}`, [Number(mean), Number(count)]]),
      ),
    }),
  }
}

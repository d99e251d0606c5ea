import { and, asc, desc, eq, gte, lt, or, type SQL, sql } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import type { DecidedMember } from '../../core/ensemble.ts'
import { notFound } from '../../core/errors.ts'
import { usdFromNano } from '../../core/money.ts'
import type { DecisionsQuery, WholeDecision } from './schema.ts'
import { decisions } from './table.ts'

type Row = typeof decisions.$inferSelect

/** More than is shown: the schema of the answer leaves out what is nobody's business. */
export const viewOf = ({ saved_nanos, ensemble, ...row }: Row) => ({
  ...row,
  object: 'decision' as const,
  candidates: row.candidates.map(({ cost_nanos, relaxed, ...candidate }) => ({
    ...candidate,
    ...(relaxed && { relaxed: [...relaxed] }),
    ...(cost_nanos !== undefined && { cost_usd: usdFromNano(cost_nanos) }),
  })),
  excluded: [...row.excluded],
  attempts: [...row.attempts],
  relaxed: [...(row.relaxed ?? [])],
  experiment: row.experiment ?? null,
  ensemble: ensemble && { ...ensemble, members: ensemble.members.map(memberOf), helpers: ensemble.helpers.map(inUsd) },
  saved_usd: saved_nanos === null ? null : usdFromNano(saved_nanos),
})

const memberOf = ({ calls, ...member }: DecidedMember) => ({
  ...inUsd(member),
  calls: [...(calls ?? [member.request_id])],
})

const inUsd = <T extends { cost_nanos: number }>({ cost_nanos, ...rest }: T) => ({
  ...rest,
  cost_usd: usdFromNano(cost_nanos),
})

/** What stands before the first slash of a target is its provider; its model may have slashes of its own. */
const chosenProvider = sql`split_part(${decisions.chosen}, '/', 1)`
const chosenModel = sql`substr(${decisions.chosen}, length(${chosenProvider}) + 2)`

/** Rows of an organisation behind a row of its own, in the order of time. */
function isBehind(orgId: string, { after, order }: DecisionsQuery): SQL | undefined {
  if (after === undefined) return undefined
  const than = sql`(select c.created_at, c.id from decisions c where c.org_id = ${orgId} and c.id = ${after})`
  const place = sql`(${decisions.created_at}, ${decisions.id})`
  return order === 'asc' ? sql`${place} > ${than}` : sql`${place} < ${than}`
}

/** One row more than asked for, if there is one. */
export async function listDecisions({ db, caller: { orgId } }: Ctx, query: DecisionsQuery): Promise<Row[]> {
  const { model, provider, outcome, from, to } = query
  const by = query.order === 'asc' ? asc : desc
  const [rows] = await db.atomically(orgId, (builder) => [
    builder
      .select()
      .from(decisions)
      .where(
        and(
          eq(decisions.org_id, orgId),
          model === undefined ? undefined : or(eq(decisions.asked_model, model), sql`${chosenModel} = ${model}`),
          provider === undefined ? undefined : sql`${chosenProvider} = ${provider}`,
          outcome === undefined ? undefined : eq(decisions.outcome, outcome),
          from === undefined ? undefined : gte(decisions.created_at, from),
          to === undefined ? undefined : lt(decisions.created_at, to),
          isBehind(orgId, query),
        ),
      )
      .orderBy(by(decisions.created_at), by(decisions.id))
      .limit(query.limit + 1),
  ])
  return rows
}

/** Throws 404 for a decision of another organisation. */
export async function readDecision({ db, caller: { orgId } }: Ctx, id: string): Promise<WholeDecision> {
  const [[row]] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(decisions)
      .where(and(eq(decisions.org_id, orgId), eq(decisions.id, id))),
  ])
  if (!row) throw notFound('decision')
  return viewOf(row)
}

import { and, desc, eq, gte, isNotNull, lt, type SQL, sql } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import { decisions } from '../decisions/table.ts'
import { usageLedger } from '../ledger/table.ts'

/** Inputs of fifty options are five kilobytes: a page of them is a few megabytes. */
const PAGE = 500

export type Span = { from: number; to: number; most: number }

const columns = {
  id: decisions.id,
  request_id: decisions.request_id,
  key_id: decisions.key_id,
  user_id: decisions.user_id,
  asked_model: decisions.asked_model,
  candidates: decisions.candidates,
  excluded: decisions.excluded,
  chosen: decisions.chosen,
  outcome: decisions.outcome,
  cache: decisions.cache,
  propensity: decisions.propensity,
  ensemble: decisions.ensemble,
  inputs: decisions.inputs,
  created_at: decisions.created_at,
  /** Null for a call that was not booked: no target was asked. */
  cost_nanos: usageLedger.cost_nanos,
  latency_ms: usageLedger.latency_ms,
  prompt_tokens: usageLedger.prompt_tokens,
}

export type LoggedRow = Awaited<ReturnType<typeof readPage>>[number]

/** Decisions that say what they came of, with what their calls came to: the newest first, and no more than `most`. */
export async function* readDecisions(ctx: Ctx, span: Span): AsyncGenerator<LoggedRow> {
  let after: LoggedRow | undefined
  for (let left = span.most; left > 0; ) {
    const limit = Math.min(PAGE, left)
    const page = await readPage(ctx, span, { after, limit })
    yield* page
    after = page.at(-1)
    left -= page.length
    if (page.length < limit) return
  }
}

async function readPage(
  { db, caller: { orgId } }: Ctx,
  { from, to }: Span,
  { after, limit }: { after: Pick<LoggedPlace, 'id' | 'created_at'> | undefined; limit: number },
) {
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select(columns)
      .from(decisions)
      .leftJoin(usageLedger, and(eq(usageLedger.request_id, decisions.request_id), eq(usageLedger.org_id, orgId)))
      .where(
        and(
          eq(decisions.org_id, orgId),
          gte(decisions.created_at, from),
          lt(decisions.created_at, to),
          isNotNull(decisions.inputs),
          after && isBefore(after),
        ),
      )
      .orderBy(desc(decisions.created_at), desc(decisions.id))
      .limit(limit),
  ])
  return rows
}

type LoggedPlace = { id: string; created_at: number }

const isBefore = ({ id, created_at }: LoggedPlace): SQL =>
  sql`(${decisions.created_at}, ${decisions.id}) < (${created_at}, ${id})`

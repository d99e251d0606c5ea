import { sql } from 'drizzle-orm/sql'
import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { type Break, breakAtEnd, breakIn, type ChainRow, chainColumns, type Head, startOf } from './chain.ts'
import type { Verification } from './schema.ts'

const MAX_ROWS = 10_000
/** Rows held in memory at once. */
const BATCH = 1000

const Text = z.string().nullable()
const BatchRow = z.record(z.enum([...chainColumns, 'head_seq', 'head_hash']), Text)

/** Where the chain was followed to. */
type Last = Head & { id: string | null }
type Batch = { rows: ChainRow[]; head: Head | undefined }

/**
 * Recomputes the chain of the caller's organisation from a place on, 10,000 rows at most, and stops at the first row
 * that does not hold. What comes before that place is taken as it stands. Throws 422 for a place behind the end.
 */
export async function verifyChain(ctx: Ctx, fromSeq: number): Promise<Verification> {
  const start = (await lastBefore(ctx, fromSeq)) ?? (await lastUnlessBeyond(ctx, fromSeq))
  let last: Last = start ?? { seq: fromSeq - 1, hash: '', id: null }
  let broken: Break | undefined = start ? undefined : { seq: fromSeq - 1, id: null, why: 'missing' }
  let head: Head | undefined
  let isEnd = false
  while (!broken && !isEnd && last.seq - fromSeq + 1 < MAX_ROWS) {
    const batch = await readBatch(ctx, last.seq + 1)
    head = batch.head
    broken = await breakIn(batch.rows, last)
    last = lastGood(batch.rows, last, broken)
    isEnd = !broken && batch.rows.length < BATCH
    if (isEnd) broken = breakAtEnd(last, head)
  }
  const checked = last.seq - fromSeq + 1
  return {
    object: 'audit_verification',
    ok: broken === undefined,
    checked,
    first_seq: checked > 0 ? fromSeq : null,
    last_seq: checked > 0 ? last.seq : null,
    head: head ?? null,
    head_matches: isEnd ? broken === undefined : null,
    broken: broken ?? null,
    next_from_seq: broken || isEnd ? null : last.seq + 1,
  }
}

/** The last of the rows that hold. */
function lastGood(rows: readonly ChainRow[], before: Last, broken: Break | undefined): Last {
  const row = broken ? rows[broken.seq - before.seq - 2] : rows.at(-1)
  return row ? { seq: Number(row.seq), hash: row.hash ?? '', id: row.id } : before
}

/** Nothing is missing where nothing was ever noted: throws 422 for such a place. */
async function lastUnlessBeyond(ctx: Ctx, fromSeq: number): Promise<Last | undefined> {
  const { rows, head } = await readBatch(ctx, fromSeq)
  const end = head?.seq ?? 0
  // By now the row may have been written, too.
  if (rows.length > 0 || fromSeq <= end + 1) return lastBefore(ctx, fromSeq)
  const detail = `The log ends with row ${end}: at most ${end + 1}. If there was a later row, the end was cut off.`
  throw new AppError('invalid_request', `from_seq: ${detail}`, {
    status: 422,
    param: 'from_seq',
    fields: [{ pointer: 'from_seq', detail }],
  })
}

/** What the row at that place must follow; undefined when there is no such row. */
async function lastBefore({ db, caller: { orgId } }: Ctx, seq: number): Promise<Last | undefined> {
  if (seq > 1) {
    const [{ rows }] = await db.atomically(orgId, (query) => [
      query.execute<{ id: string; hash: string }>(
        sql`select id, hash from audit_log where org_id = ${orgId} and seq = ${seq - 1}`,
      ),
    ])
    return rows[0] && { seq: seq - 1, ...rows[0] }
  }
  const [{ rows }] = await db.atomically(orgId, (query) => [
    query.execute<{ older: string }>(
      sql`select count(*)::text as older from audit_log where org_id = ${orgId} and seq is null`,
    ),
  ])
  return { seq: 0, hash: await startOf(orgId, Number(rows[0]?.older)), id: null }
}

/** Rows from a place on, and the noted end: seen at one moment, so that neither is ahead of the other. */
async function readBatch({ db, caller: { orgId } }: Ctx, fromSeq: number): Promise<Batch> {
  const columns = sql.raw(chainColumns.map((name) => `a.${name}::text as ${name}`).join(', '))
  const [found] = await db.atomically(orgId, (query) => [
    query.execute(sql`
      select h.seq::text as head_seq, h.hash as head_hash, ${columns}
      from (values (1)) as one (row)
      left join audit_heads h on h.org_id = ${orgId}
      left join audit_log a on a.org_id = ${orgId} and a.seq >= ${fromSeq}
      order by a.seq limit ${BATCH}`),
  ])
  const all = found.rows.map((row) => BatchRow.parse(row))
  const [first] = all
  return {
    // Without any row the join answers one that is empty.
    rows: all.filter(({ seq }) => seq !== null),
    head: first?.head_hash ? { seq: Number(first.head_seq), hash: first.head_hash } : undefined,
  }
}

import type { Ctx } from '../../core/context.ts'
import { exportResponse } from '../../http/export.ts'
import { type AuditEntryRow, endOfPart, readRows, viewOf } from './rows.ts'
import type { ExportQuery } from './schema.ts'

const MAX_ROWS = 10_000
const PAGE = 500

const COLUMNS = [
  'id',
  'seq',
  'created_at',
  'actor_kind',
  'actor_id',
  'action',
  'target_kind',
  'target_id',
  'details',
  'before_hash',
  'after_hash',
  'ip',
  'request_id',
  'prev_hash',
  'hash',
] as const

/**
 * Up to 10,000 rows, read while they are sent. Where there are more the headers say so before the first of them:
 * `x-helix-truncated: true`, and `x-helix-next-after` to go on with.
 */
export async function exportAudit(ctx: Ctx, { format, ...filters }: ExportQuery): Promise<Response> {
  const end = await endOfPart(ctx, filters, MAX_ROWS)
  return exportResponse({
    name: 'audit',
    format,
    columns: COLUMNS,
    cells: (row) => COLUMNS.map((name) => (name === 'details' ? JSON.stringify(row.details) : row[name])),
    view: viewOf,
    pages: pagesOf(ctx, filters, end),
    headers: { 'x-helix-truncated': String(end !== undefined), ...(end && { 'x-helix-next-after': end }) },
  })
}

/** Rows up to the one with which the part ends: what is written meanwhile belongs to the next part, or to none. */
async function* pagesOf(
  ctx: Ctx,
  filters: Omit<ExportQuery, 'format'>,
  end: string | undefined,
): AsyncGenerator<AuditEntryRow[]> {
  let after = filters.after
  for (;;) {
    const rows = await readRows(ctx, { ...filters, after, limit: PAGE })
    const last = end === undefined ? -1 : rows.findIndex(({ id }) => id === end)
    yield last === -1 ? rows : rows.slice(0, last + 1)
    if (last !== -1 || rows.length < PAGE) return
    after = rows.at(-1)?.id
  }
}

import type { Ctx } from '../../core/context.ts'
import { csvLine } from '../../http/csv.ts'
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

type Form = { media: string; head: string; line(row: AuditEntryRow, isFirst: boolean): string; foot: string }

const forms: Readonly<Record<ExportQuery['format'], Form>> = {
  csv: {
    media: 'text/csv; charset=utf-8; header=present',
    head: csvLine(COLUMNS),
    line: (row) => csvLine(COLUMNS.map((name) => (name === 'details' ? JSON.stringify(row.details) : row[name]))),
    foot: '',
  },
  json: {
    media: 'application/json',
    head: '[',
    line: (row, isFirst) => `${isFirst ? '' : ','}\n${JSON.stringify(viewOf(row))}`,
    foot: '\n]\n',
  },
}

/**
 * Up to 10,000 rows, read while they are sent. Where there are more the headers say so before the first of them:
 * `x-helix-truncated: true`, and `x-helix-next-after` to go on with.
 */
export async function exportAudit(ctx: Ctx, { format, ...filters }: ExportQuery): Promise<Response> {
  const end = await endOfPart(ctx, filters, MAX_ROWS)
  const form = forms[format]
  const headers: Record<string, string> = {
    'content-type': form.media,
    'content-disposition': `attachment; filename="audit.${format}"`,
    'cache-control': 'no-store',
    'x-helix-truncated': String(end !== undefined),
  }
  if (end !== undefined) headers['x-helix-next-after'] = end
  return new Response(textOf(form, pagesOf(ctx, filters, end)), { headers })
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

function textOf(form: Form, pages: AsyncGenerator<AuditEntryRow[]>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let isFirst = true
  return new ReadableStream({
    start: (controller) => controller.enqueue(encoder.encode(form.head)),
    async pull(controller) {
      const { value: rows, done } = await pages.next()
      if (done) {
        controller.enqueue(encoder.encode(form.foot))
        controller.close()
        return
      }
      const lines = rows.map((row) => {
        const line = form.line(row, isFirst)
        isFirst = false
        return line
      })
      controller.enqueue(encoder.encode(lines.join('')))
    },
  })
}

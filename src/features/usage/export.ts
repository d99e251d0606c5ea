import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { csvLine } from '../../http/csv.ts'
import { extentOf, readPage, viewOf } from './rows.ts'
import { type ExportQuery, type UsageFilters, UsageRow } from './schema.ts'

const MAX_ROWS = 10_000
const PAGE = 500

type Form = { media: string; head: string; line(row: UsageRow, isFirst: boolean): string; foot: string }

const names = UsageRow.keyof().exclude(['object']).options

const forms: Readonly<Record<ExportQuery['format'], Form>> = {
  csv: {
    media: 'text/csv; charset=utf-8; header=present',
    head: csvLine(names),
    line: (row) => csvLine(names.map((name) => textOf(row[name]))),
    foot: '',
  },
  json: {
    media: 'application/json',
    head: '[',
    line: (row, isFirst) => `${isFirst ? '' : ','}\n${JSON.stringify(row)}`,
    foot: '\n]\n',
  },
}

const textOf = (value: string | number | boolean | null): string | number | null =>
  typeof value === 'boolean' ? String(value) : value

/** At most 10,000 rows, the oldest first, read while they are sent. Throws 422 when there are more. */
export async function exportUsage(ctx: Ctx, { format, ...filters }: ExportQuery): Promise<Response> {
  const { count, lastId } = await extentOf(ctx, filters, MAX_ROWS + 1)
  if (count > MAX_ROWS) {
    throw new AppError('invalid_request', `More than ${MAX_ROWS} rows: narrow the range with from and to.`, {
      status: 422,
      param: 'from',
    })
  }
  const form = forms[format]
  return new Response(streamOf(form, pagesOf(ctx, filters, lastId)), {
    headers: {
      'content-type': form.media,
      'content-disposition': `attachment; filename="usage.${format}"`,
      'cache-control': 'no-store',
    },
  })
}

/** What is booked meanwhile is not among them. */
async function* pagesOf(ctx: Ctx, filters: UsageFilters, lastId: string): AsyncGenerator<UsageRow[]> {
  let after = ''
  while (after < lastId) {
    const rows = await readPage(ctx, filters, { after, lastId, limit: PAGE })
    const last = rows.at(-1)
    if (!last) return
    yield rows.map(viewOf)
    after = last.id
  }
}

function streamOf(form: Form, pages: AsyncGenerator<UsageRow[]>): ReadableStream<Uint8Array> {
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
      let text = ''
      for (const row of rows) {
        text += form.line(row, isFirst)
        isFirst = false
      }
      controller.enqueue(encoder.encode(text))
    },
  })
}

import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { exportResponse } from '../../http/export.ts'
import { extentOf, readPage, viewOf } from './rows.ts'
import { type ExportQuery, type UsageFilters, UsageRow } from './schema.ts'

const MAX_ROWS = 10_000
const PAGE = 500

const names = UsageRow.keyof().exclude(['object']).options

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
  return exportResponse({
    name: 'usage',
    format,
    columns: names,
    cells: (row) => names.map((name) => textOf(row[name])),
    view: (row) => row,
    pages: pagesOf(ctx, filters, lastId),
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

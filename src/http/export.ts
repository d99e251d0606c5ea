/** What a spreadsheet would take for a formula: https://owasp.org/www-community/attacks/CSV_Injection */
const FORMULA = /^[=+\-@\t\r\n]/
const QUOTED = /[",\r\n]/

function cell(value: string | number | null): string {
  if (value === null) return ''
  const text = String(value)
  const plain = FORMULA.test(text) ? `'${text}` : text
  return QUOTED.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain
}

/** A line of CSV (RFC 4180). A text that a spreadsheet would run gets a quote before it. */
export const csvLine = (values: readonly (string | number | null)[]): string => `${values.map(cell).join(',')}\r\n`

export type Export<Row> = {
  /** Of the file, without its ending. */
  name: string
  format: 'csv' | 'json'
  columns: readonly string[]
  /** A row's cells, in the order of the columns. */
  cells: (row: Row) => readonly (string | number | null)[]
  /** The row as JSON has it. */
  view: (row: Row) => unknown
  pages: AsyncGenerator<readonly Row[]>
  headers?: Readonly<Record<string, string>>
}

/** A file of rows that are read while they are sent. A page that cannot be read breaks the response off. */
export function exportResponse<Row>({ name, format, headers, ...rows }: Export<Row>): Response {
  return new Response(format === 'csv' ? csvOf(rows) : jsonOf(rows), {
    headers: {
      'content-type': format === 'csv' ? 'text/csv; charset=utf-8; header=present' : 'application/json',
      'content-disposition': `attachment; filename="${name}.${format}"`,
      'cache-control': 'no-store',
      ...headers,
    },
  })
}

type Rows<Row> = Pick<Export<Row>, 'columns' | 'cells' | 'view' | 'pages'>

const csvOf = <Row>({ columns, cells, pages }: Rows<Row>) =>
  textOf(pages, { head: csvLine(columns), line: (row) => csvLine(cells(row)), foot: '' })

function jsonOf<Row>({ view, pages }: Rows<Row>): ReadableStream<Uint8Array> {
  let separator = ''
  const line = (row: Row): string => {
    const text = `${separator}\n${JSON.stringify(view(row))}`
    separator = ','
    return text
  }
  return textOf(pages, { head: '[', line, foot: '\n]\n' })
}

function textOf<Row>(
  pages: AsyncGenerator<readonly Row[]>,
  { head, line, foot }: { head: string; line: (row: Row) => string; foot: string },
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream({
    start: (controller) => controller.enqueue(encoder.encode(head)),
    async pull(controller) {
      const { value: rows, done } = await pages.next()
      controller.enqueue(encoder.encode(done ? foot : rows.map(line).join('')))
      if (done) controller.close()
    },
    async cancel() {
      await pages.return(undefined)
    },
  })
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import { DatabaseError, type PoolClient, type QueryArrayConfig, type QueryArrayResult } from 'pg'
import type { Pools } from './pools.ts'
import { toJsonValue } from './sql-json.ts'
import { BadRequest, readSqlRequest, type SqlRequest, type Statement } from './sql-request.ts'
import { PostgresFailure } from './wire.ts'

export type SqlEndpointOptions = {
  pools: Pools
  maxRequestBytes: number
  maxResponseBytes: number
  log: (message: string) => void
}

class TooLarge extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** How many more characters the response may hold; shared by all statements of a batch. */
type Budget = { left: number; limit: number }

const ERROR_FIELDS = [
  ['severity', 'code', 'detail', 'hint', 'position', 'internalPosition', 'internalQuery', 'where', 'schema'],
  ['table', 'column', 'dataType', 'constraint', 'file', 'line', 'routine'],
].flat()

/** Answers Neon's `POST /sql`. Every outcome is a response; nothing is thrown. */
export async function answerSql(request: IncomingMessage, response: ServerResponse, options: SqlEndpointOptions) {
  try {
    const body = await readBody(request, options.maxRequestBytes)
    const sql = readSqlRequest(request.headers, body)
    const budget = { left: options.maxResponseBytes, limit: options.maxResponseBytes }
    const answer = await options.pools.use(sql.credentials, (client) => execute(client, sql, budget))
    const text = JSON.stringify(answer)
    if (Buffer.byteLength(text) > options.maxResponseBytes) throw responseTooLarge(options.maxResponseBytes)
    sendJson(response, { status: 200, body: text, headers: sql.batch?.echo ?? {} })
  } catch (error) {
    const { status, body } = describeFailure(error)
    if (status >= 500) options.log(`POST /sql answered ${status}: ${body.message}`)
    // The rest of an oversized body is not read, so the connection cannot be used again.
    const headers = status === 413 ? { connection: 'close' } : {}
    sendJson(response, { status, body: JSON.stringify(body), headers })
  }
}

export function sendJson(
  response: ServerResponse,
  { status, body, headers }: { status: number; body: string; headers: Record<string, string> },
): void {
  const own = { 'content-type': 'application/json', 'access-control-allow-origin': '*' }
  response.writeHead(status, { ...own, 'content-length': Buffer.byteLength(body), ...headers })
  response.end(body)
}

async function readBody(request: IncomingMessage, limit: number): Promise<string> {
  const chunks: Buffer[] = []
  let total = 0
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    total += chunk.length
    if (total > limit) throw new TooLarge(413, `the request is larger than ${limit} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

async function execute(client: PoolClient, sql: SqlRequest, budget: Budget): Promise<unknown> {
  const results: unknown[] = []
  if (sql.batch) await client.query(sql.batch.begin)
  try {
    for (const statement of sql.statements) {
      const result = await runStatement(client, statement, budget)
      results.push(shapeResult(result, statement, sql.isRawText))
    }
    if (sql.batch) await client.query('COMMIT')
  } catch (error) {
    if (sql.batch) await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
  return sql.batch ? { results } : results[0]
}

function runStatement(client: PoolClient, statement: Statement, budget: Budget): Promise<QueryArrayResult> {
  const keepText = (text: string) => {
    budget.left -= text.length
    if (budget.left < 0) throw responseTooLarge(budget.limit)
    return text
  }
  const config: QueryArrayConfig & { queryMode: 'extended' } = {
    text: statement.query,
    values: [...statement.params],
    rowMode: 'array',
    types: { getTypeParser: () => keepText },
    // Without it a statement without parameters would be a simple query, which may hold several statements.
    queryMode: 'extended',
  }
  return client.query(config)
}

function shapeResult(result: QueryArrayResult, statement: Statement, isRawText: boolean): unknown {
  const fields = result.fields.map((field) => ({
    name: field.name,
    dataTypeID: field.dataTypeID,
    tableID: field.tableID,
    columnID: field.columnID,
    dataTypeSize: field.dataTypeSize,
    dataTypeModifier: field.dataTypeModifier,
    format: 'text',
  }))
  const rows = result.rows.map((texts: readonly (string | null)[]) => {
    const values = texts.map((text, column) => shapeValue(text, isRawText ? undefined : fields[column]?.dataTypeID))
    return statement.arrayMode ? values : Object.fromEntries(values.map((value, at) => [fields[at]?.name ?? '', value]))
  })
  const { command, rowCount } = result
  return { command, fields, rowAsArray: statement.arrayMode, rowCount, rows }
}

function shapeValue(text: string | null, typeId: number | undefined): unknown {
  return text === null || typeId === undefined ? text : toJsonValue(typeId, text)
}

function describeFailure(error: unknown): { status: number; body: { message: string } } {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof BadRequest) return { status: 400, body: { message } }
  if (error instanceof TooLarge) return { status: error.status, body: { message } }
  if (error instanceof DatabaseError) return { status: 400, body: { message, ...errorFields(error) } }
  if (error instanceof PostgresFailure) return { status: 503, body: { message } }
  return { status: 500, body: { message: `the connection to Postgres failed: ${message}` } }
}

/** Absent fields are null, as the driver's error type expects them. */
function errorFields(error: DatabaseError): Record<string, unknown> {
  const fields: Record<string, unknown> = { ...error }
  return Object.fromEntries(ERROR_FIELDS.map((name) => [name, fields[name] ?? null]))
}

function responseTooLarge(limit: number): TooLarge {
  return new TooLarge(507, `the response is larger than ${limit} bytes`)
}

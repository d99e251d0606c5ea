import type { IncomingHttpHeaders } from 'node:http'
import * as z from 'zod'
import type { Credentials } from './backend.ts'

/** The request side of Neon's HTTP protocol, as @neondatabase/serverless 1.2.0 speaks it. */

export type Statement = { query: string; params: readonly unknown[]; arrayMode: boolean }

export type SqlRequest = {
  credentials: Credentials
  /** Values stay the text that Postgres sent; otherwise they become JSON values where JSON has one. */
  isRawText: boolean
  /** Undefined for a single statement, which runs on its own. */
  batch: Batch | undefined
  statements: readonly Statement[]
}

export type Batch = {
  begin: string
  /** Options as the response repeats them. */
  echo: Record<string, string>
}

/** The request cannot be understood: the text is for the caller. */
export class BadRequest extends Error {}

const statementSchema = z.object({
  query: z.string(),
  params: z.array(z.unknown()).optional(),
  arrayMode: z.boolean().optional(),
})
const bodySchema = z.union([z.object({ queries: z.array(statementSchema) }), statementSchema])

const ISOLATION_LEVELS: Readonly<Record<string, string>> = {
  ReadUncommitted: 'READ UNCOMMITTED',
  ReadCommitted: 'READ COMMITTED',
  RepeatableRead: 'REPEATABLE READ',
  Serializable: 'SERIALIZABLE',
}

/** @throws BadRequest */
export function readSqlRequest(headers: IncomingHttpHeaders, body: string): SqlRequest {
  const parsed = bodySchema.safeParse(parseJson(body))
  if (!parsed.success) throw new BadRequest('the body must be {query, params} or {queries: [{query, params}]}')
  const arrayMode = headers['neon-array-mode'] === 'true'
  const isBatch = 'queries' in parsed.data
  const statements = 'queries' in parsed.data ? parsed.data.queries : [parsed.data]
  return {
    credentials: readCredentials(header(headers, 'neon-connection-string')),
    isRawText: headers['neon-raw-text-output'] === 'true',
    batch: isBatch ? readBatch(headers) : undefined,
    statements: statements.map((statement) => ({
      query: statement.query,
      params: statement.params ?? [],
      arrayMode: statement.arrayMode ?? arrayMode,
    })),
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new BadRequest('the body is not JSON')
  }
}

/** Host and database of the connection string are not read: the address is fixed when this server starts. */
function readCredentials(connectionString: string | undefined): Credentials {
  if (connectionString === undefined) throw new BadRequest('the Neon-Connection-String header is missing')
  const url = URL.canParse(connectionString) ? new URL(connectionString) : undefined
  if (!url || !/^postgres(ql)?:$/.test(url.protocol) || url.username === '') {
    throw new BadRequest('the Neon-Connection-String header must look like postgresql://user:password@host/database')
  }
  try {
    return { user: decodeURIComponent(url.username), password: decodeURIComponent(url.password) }
  } catch {
    throw new BadRequest('the user or password in the Neon-Connection-String header is not valid URL encoding')
  }
}

function readBatch(headers: IncomingHttpHeaders): Batch {
  const clauses = ['BEGIN']
  const echo: Record<string, string> = {}
  const isolation = header(headers, 'neon-batch-isolation-level')
  if (isolation !== undefined) {
    const level = Object.hasOwn(ISOLATION_LEVELS, isolation) ? ISOLATION_LEVELS[isolation] : undefined
    if (!level) throw new BadRequest(`invalid isolation level: ${isolation}`)
    clauses.push(`ISOLATION LEVEL ${level}`)
    echo['neon-batch-isolation-level'] = isolation
  }
  const flags = [
    ['neon-batch-read-only', 'READ ONLY'],
    ['neon-batch-deferrable', 'DEFERRABLE'],
  ] as const
  for (const [name, clause] of flags) {
    if (headers[name] !== 'true') continue
    clauses.push(clause)
    echo[name] = 'true'
  }
  return { begin: clauses.join(' '), echo }
}

function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

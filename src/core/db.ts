import type { SQL } from 'drizzle-orm'
import type { BatchItem, BatchResponse } from 'drizzle-orm/batch'
import type { NeonHttpDatabase } from 'drizzle-orm/neon-http'

export type Row = Record<string, unknown>

/** drizzle's query builder; what it builds runs only inside `Database`. */
export type QueryBuilder = Pick<NeonHttpDatabase, 'select' | 'insert' | 'update' | 'delete' | 'execute'>

type Batch = readonly [BatchItem<'pg'>, ...BatchItem<'pg'>[]]

/**
 * Postgres as the application role. Throws `DependencyError('postgres')` when it does not answer.
 * There are no interactive transactions: atomic work is one statement, or several in `atomically`.
 */
export type Database = {
  /** One statement outside any organisation: only definer functions return rows here. */
  query(statement: SQL): Promise<Row[]>
  /** Statements in one transaction under the organisation's row-level security; a result each, in order. */
  atomically<const Q extends Batch>(orgId: string, build: (query: QueryBuilder) => Q): Promise<BatchResponse<Q>>
}

/**
 * The SQLSTATE that Postgres refused a statement with: a standard one (`23505`, a duplicate) or one that our functions
 * and triggers raise (`HX403`, `HX404`, `HX409`). Undefined for an error of another kind.
 */
export function sqlStateOf(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code
  }
  return undefined
}

import type { SQL } from 'drizzle-orm'

export type Row = Record<string, unknown>

/**
 * Postgres as the application role. Throws `DependencyError('postgres')` when it does not answer.
 * There are no interactive transactions: atomic work is one statement, or several in `forOrg`.
 */
export type Database = {
  /** One statement outside any organisation: only definer functions return rows here. */
  query(statement: SQL): Promise<Row[]>
  /** Statements in one transaction under the organisation's row-level security; a result each, in order. */
  forOrg(orgId: string, statements: readonly SQL[]): Promise<Row[][]>
}

import { bigint, index, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** Every request that a known caller made: when, what, how it ended. Never what it said. */
export const requestLog = pgTable(
  'request_log',
  {
    request_id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    /** An API key's id or a session's, and the person behind it. */
    key_id: text(),
    user_id: text(),
    method: text().notNull(),
    /** The route's pattern, not the path as sent. */
    path: text().notNull(),
    status_code: integer().notNull(),
    error_code: text(),
    /** Cut to /24 or /48. */
    ip: text(),
    user_agent: text(),
    client_request_id: text(),
    response_time_ms: integer().notNull(),
    bytes_in: bigint({ mode: 'number' }),
    bytes_out: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.created_at), index().on(table.org_id, table.key_id, table.created_at)],
)

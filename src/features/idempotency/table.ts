import { bigint, integer, jsonb, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** What a call with an `Idempotency-Key` answered, for its repetitions within a day. */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    /** SHA-256 of the credential's id, the route and the key. */
    id: text().notNull(),
    body_hash: text().notNull(),
    state: text({ enum: ['running', 'done'] }).notNull(),
    status: integer(),
    headers: jsonb().$type<Record<string, string>>(),
    /** Sealed; null for an answer that cannot be kept, such as a stream. */
    body: text(),
    created_at: bigint({ mode: 'number' }).notNull(),
    expires_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.org_id, table.id] })],
)

import { bigint, index, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** Responses whose callers let them be stored. Input and output are sealed under the organisation's data key. */
export const responses = pgTable(
  'responses',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    key_id: text().notNull(),
    user_id: text(),
    model: text().notNull(),
    status: text({ enum: ['completed', 'incomplete', 'failed'] }).notNull(),
    previous_response_id: text(),
    /** The items that were sent with this response alone, as JSON, sealed. */
    input: text().notNull(),
    /** The response object as JSON, sealed. */
    output: text().notNull(),
    dek_version: integer().notNull(),
    expires_at: bigint({ mode: 'number' }).notNull(),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.created_at), index().on(table.expires_at)],
)

import { bigint, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** Data keys of an organisation, each wrapped with a key that only the Worker holds. */
export const dataKeys = pgTable(
  'data_keys',
  {
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    version: integer().notNull(),
    wrapped_dek: text().notNull(),
    kek_id: text().notNull(),
    state: text({ enum: ['active', 'retired'] }).notNull(),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.org_id, table.version] })],
)

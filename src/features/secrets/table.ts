import { sql } from 'drizzle-orm'
import { bigint, boolean, index, integer, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** Values that an organisation keeps here for its agents and connectors, sealed under its data key. */
export const secrets = pgTable(
  'secrets',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    name: text().notNull(),
    /** Whose it is: the whole organisation's, or one agent's. */
    scope_kind: text({ enum: ['org', 'agent'] }).notNull(),
    scope_id: text().notNull(),
    description: text(),
    /** Sealed: see features/encryption. */
    value: text().notNull(),
    /** Version of the data key it is sealed under. */
    dek_version: integer().notNull(),
    /** Grows with each replacement. */
    version: integer().notNull(),
    is_active: boolean().notNull().default(true),
    last_used_at: bigint({ mode: 'number' }),
    deleted_at: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    index().on(table.org_id, table.created_at),
    uniqueIndex().on(table.org_id, table.scope_kind, table.scope_id, table.name).where(sql`deleted_at is null`),
  ],
)

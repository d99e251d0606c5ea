import { bigint, index, pgTable, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** Files that are too large for a body, kept in the bucket until they were used or a day has passed. */
export const uploads = pgTable(
  'uploads',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    status: text({ enum: ['waiting', 'ready'] }).notNull(),
    filename: text(),
    /** What its sender says it is; what it is, its first bytes say. */
    mime: text(),
    size_bytes: bigint({ mode: 'number' }),
    sha256: text(),
    created_by: text().notNull(),
    expires_at: bigint({ mode: 'number' }).notNull(),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.created_at), index().on(table.expires_at)],
)

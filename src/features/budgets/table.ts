import { bigint, boolean, index, pgTable, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

export const budgets = pgTable(
  'budgets',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    subject_kind: text({ enum: ['org', 'key'] }).notNull(),
    subject_id: text().notNull(),
    /** Calendar windows are UTC. */
    window: text({ enum: ['total', 'day', 'month', 'rolling_30d'] }).notNull(),
    limit_nanos: bigint({ mode: 'number' }).notNull(),
    hard: boolean().notNull(),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.subject_kind, table.subject_id)],
)

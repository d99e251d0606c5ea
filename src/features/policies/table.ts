import { bigint, index, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

export type LimitSpec = { metric: 'requests' | 'tokens'; per_minute: number; burst?: number }

/** Limits as the release before keeps them; since then they are rows of `limits`, and nothing reads or writes these. */
export const policies = pgTable(
  'policies',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    attach_kind: text({ enum: ['org', 'key'] }).notNull(),
    attach_id: text().notNull(),
    limits: jsonb().$type<LimitSpec[]>().notNull(),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.attach_kind, table.attach_id)],
)

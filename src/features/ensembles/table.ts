import { bigint, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** How an organisation wants several models to answer together, where a call says nothing else. */
export const ensembleConfigs = pgTable('ensemble_configs', {
  org_id: text()
    .primaryKey()
    .references(() => orgs.id),
  config: jsonb().$type<Record<string, unknown>>().notNull(),
  updated_by: text(),
  created_at: bigint({ mode: 'number' }).notNull(),
  updated_at: bigint({ mode: 'number' }).notNull(),
})

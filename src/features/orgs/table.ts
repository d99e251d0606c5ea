import { bigint, jsonb, pgTable, text } from 'drizzle-orm/pg-core'

export const orgs = pgTable('orgs', {
  id: text().primaryKey(),
  name: text().notNull(),
  slug: text().notNull().unique(),
  plan: text({ enum: ['free', 'standard', 'premium'] })
    .notNull()
    .default('free'),
  status: text({ enum: ['active', 'suspended'] }).notNull(),
  settings: jsonb().$type<Record<string, unknown>>().notNull().default({}),
  data_region: text(),
  /** Unix seconds. A deleted organisation is refused everywhere; its rows wait to be erased. */
  deleted_at: bigint({ mode: 'number' }),
  created_at: bigint({ mode: 'number' }).notNull(),
  updated_at: bigint({ mode: 'number' }).notNull(),
})

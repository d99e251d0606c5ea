import { bigint, pgTable, text } from 'drizzle-orm/pg-core'

export const orgs = pgTable('orgs', {
  id: text().primaryKey(),
  name: text().notNull(),
  slug: text().notNull().unique(),
  status: text({ enum: ['active', 'suspended'] }).notNull(),
  created_at: bigint({ mode: 'number' }).notNull(),
  updated_at: bigint({ mode: 'number' }).notNull(),
})

import { bigint, boolean, index, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

export const budgets = pgTable(
  'budgets',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    name: text(),
    /** `model` limits what everybody of the organisation spends on one model, whose name is the subject's id. */
    subject_kind: text({ enum: ['org', 'user', 'key', 'model', 'agent', 'run'] }).notNull(),
    subject_id: text().notNull(),
    /** Calendar windows are UTC. */
    window: text({ enum: ['total', 'day', 'month', 'rolling_30d'] }).notNull(),
    limit_nanos: bigint({ mode: 'number' }).notNull(),
    /** A hard budget refuses; a soft one only tells. */
    hard: boolean().notNull(),
    /** Shares of the limit at which somebody is told. */
    soft_percent: integer().array().notNull().default([50, 80, 95]),
    /** Of a run: the run that started it, in whose budgets it counts, too. */
    parent_id: text(),
    deleted_at: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.subject_kind, table.subject_id)],
)

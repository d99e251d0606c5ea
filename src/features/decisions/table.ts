import { sql } from 'drizzle-orm'
import { bigint, boolean, doublePrecision, index, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import type { DecisionRow } from '../../core/decision.ts'
import { orgs } from '../orgs/table.ts'

/** Why a call went where it went; the columns are `DecisionRow` of core/decision.ts. Kept for 30 days. */
export const decisions = pgTable(
  'decisions',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    request_id: text().notNull(),
    key_id: text().notNull(),
    user_id: text(),
    asked_model: text().notNull(),
    strategy: text().notNull(),
    /** Of the plan, in its order. */
    candidates: jsonb().$type<DecisionRow['candidates']>().notNull(),
    excluded: jsonb().$type<DecisionRow['excluded']>().notNull(),
    /** Of the dispatch, in order. */
    attempts: jsonb().$type<DecisionRow['attempts']>().notNull(),
    /** The target that answered; null when none did. */
    chosen: text(),
    outcome: text({ enum: ['ok', 'error', 'aborted', 'budget', 'refused'] }).notNull(),
    cache: text({ enum: ['off', 'miss', 'exact'] }).notNull(),
    is_stream: boolean().notNull(),
    policy_version: text().notNull(),
    prices_version: text().notNull(),
    created_at: bigint({ mode: 'number' }).notNull(),
    propensity: doublePrecision(),
    relaxed: jsonb().$type<readonly string[]>(),
    routing_policy_id: text(),
    routing_policy_version: integer(),
    task_type: text(),
    complexity: text(),
    experiment: jsonb().$type<DecisionRow['experiment']>(),
    inputs: jsonb().$type<Readonly<Record<string, unknown>>>(),
    ensemble: jsonb().$type<NonNullable<DecisionRow['ensemble']>>(),
    /** Of an answer that was kept: what it had cost when it was made. */
    saved_nanos: bigint({ mode: 'number' }),
  },
  (table) => [
    index().on(table.org_id, table.created_at),
    index().on(table.org_id, table.request_id),
    // Operators ask for them over all organisations.
    index().on(table.created_at).where(sql`ensemble is not null`),
  ],
)

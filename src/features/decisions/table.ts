import { bigint, boolean, index, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
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
    /** Of the plan, in its order: target, reason, score parts. */
    candidates: jsonb().$type<readonly Record<string, unknown>[]>().notNull(),
    excluded: jsonb().$type<readonly Record<string, unknown>[]>().notNull(),
    /** Of the dispatch, in order: target, outcome, how long. */
    attempts: jsonb().$type<readonly Record<string, unknown>[]>().notNull(),
    /** The target that answered; null when none did. */
    chosen: text(),
    outcome: text().notNull(),
    cache: text().notNull(),
    is_stream: boolean().notNull(),
    policy_version: text().notNull(),
    prices_version: text().notNull(),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.created_at), index().on(table.org_id, table.request_id)],
)

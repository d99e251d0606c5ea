import { bigint, doublePrecision, integer, jsonb, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** How an organisation's calls of a target went, by the hour; made of the ledger and the decisions. */
export const modelStats = pgTable(
  'model_stats',
  {
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    /** When the hour began, Unix seconds. */
    hour: bigint({ mode: 'number' }).notNull(),
    provider: text().notNull(),
    model: text().notNull(),
    task_type: text().notNull(),
    calls: integer().notNull(),
    ok: integer().notNull(),
    /** By what went wrong. */
    errors: jsonb().$type<Record<string, number>>().notNull(),
    latency_p50_ms: integer(),
    latency_p95_ms: integer(),
    ttft_p50_ms: integer(),
    ttft_p95_ms: integer(),
    tokens_per_second: doublePrecision(),
    prompt_tokens: bigint({ mode: 'number' }).notNull(),
    completion_tokens: bigint({ mode: 'number' }).notNull(),
    completion_p75: integer(),
    cost_nanos: bigint({ mode: 'number' }).notNull(),
    /** Of answers that were judged: the mean, 0 to 10, and how many. */
    quality_mean: doublePrecision(),
    quality_count: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.org_id, table.hour, table.provider, table.model, table.task_type] })],
)

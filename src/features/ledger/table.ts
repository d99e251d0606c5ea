import { sql } from 'drizzle-orm'
import { bigint, boolean, index, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** Every call that was made, once. Append-only; the columns are `LedgerRow` of core/ledger.ts. */
export const usageLedger = pgTable(
  'usage_ledger',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    request_id: text().notNull().unique(),
    key_id: text().notNull(),
    operation: text().notNull(),
    provider: text().notNull(),
    model: text().notNull(),
    price_id: text().notNull(),
    prices_hash: text().notNull(),
    status: text({ enum: ['ok', 'error', 'aborted', 'budget', 'unknown'] }).notNull(),
    prompt_tokens: bigint({ mode: 'number' }).notNull(),
    cached_tokens: bigint({ mode: 'number' }).notNull(),
    cache_write_tokens: bigint({ mode: 'number' }).notNull(),
    completion_tokens: bigint({ mode: 'number' }).notNull(),
    reasoning_tokens: bigint({ mode: 'number' }).notNull(),
    cost_nanos: bigint({ mode: 'number' }).notNull(),
    estimated: boolean().notNull(),
    attempts: integer().notNull(),
    latency_ms: integer().notNull(),
    ttft_ms: integer(),
    error_code: text(),
    stream: boolean().notNull(),
    created_at: bigint({ mode: 'number' }).notNull(),
    /** The person behind the credential; null for a key that nobody made. */
    user_id: text(),
    agent_id: text(),
    /** The run that the call was part of. */
    run_id: text(),
    /** Of the cache-written tokens, those that are kept for an hour and cost more. */
    cache_write_1h_tokens: bigint({ mode: 'number' }).notNull().default(0),
    /** The request that the call was made for, where that is not its own: a member of an ensemble, or its judge. */
    parent_request_id: text(),
  },
  (table) => [
    index().on(table.org_id, table.created_at),
    index().on(table.org_id, table.parent_request_id).where(sql`parent_request_id is not null`),
  ],
)

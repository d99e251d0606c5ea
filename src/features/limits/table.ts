import { bigint, index, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** How often and how much a subject may; everything that concerns a caller is compiled into their policy. */
export const limits = pgTable(
  'limits',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    subject_kind: text({ enum: ['org', 'user', 'key', 'provider'] }).notNull(),
    subject_id: text().notNull(),
    metric: text({ enum: ['requests', 'tokens', 'concurrency'] }).notNull(),
    algorithm: text({ enum: ['token_bucket', 'sliding_window', 'fixed_window', 'concurrency'] }).notNull(),
    /** `day` and `month` are of the UTC calendar; the others are seconds. Null for concurrency. */
    window_seconds: integer(),
    calendar: text({ enum: ['day', 'month'] }),
    amount: bigint({ mode: 'number' }).notNull(),
    /** Requests at once on top of the steady rate; for token buckets only. */
    burst: bigint({ mode: 'number' }),
    /** A limit in `monitor` refuses nobody: it counts what it would have refused. */
    mode: text({ enum: ['enforce', 'monitor'] })
      .notNull()
      .default('enforce'),
    /** The preset that it came from. */
    preset: text(),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.subject_kind, table.subject_id)],
)

import { sql } from 'drizzle-orm'
import { bigint, index, integer, jsonb, pgTable, real, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

export type JobError = { code: string; message: string; status: number }

/** Long work, one row each. The row is also the outbox: whatever a queue lost is sent again from here. */
export const jobs = pgTable(
  'jobs',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    /** Which handler does it: `vision.batch`, `models.pull`. */
    kind: text().notNull(),
    status: text({ enum: ['queued', 'running', 'completed', 'failed', 'cancelled'] }).notNull(),
    priority: text({ enum: ['critical', 'high', 'normal', 'low'] })
      .notNull()
      .default('normal'),
    /** 0 to 1. */
    progress: real().notNull().default(0),
    /** What the handler says of where it is, for people: bytes, items. */
    detail: jsonb().$type<Record<string, unknown>>(),
    input: jsonb().$type<Record<string, unknown>>().notNull(),
    /** Null while there is none, and where it is kept in the bucket. */
    result: jsonb().$type<unknown>(),
    /** Key in the bucket of a result that is too large for a row. */
    result_key: text(),
    error: jsonb().$type<JobError>(),
    /** The credential that asked for it: its rights of the day of the work apply. */
    key_id: text().notNull(),
    key_kind: text({ enum: ['api_key', 'session'] }).notNull(),
    user_id: text(),
    attempts: integer().notNull().default(0),
    /** Unix seconds until which somebody works on it; they renew it. */
    lease_until: bigint({ mode: 'number' }),
    /** Who: what is written without it is written by somebody who lost the lease. */
    lease_id: text(),
    /** Unix seconds at which it was last given to the queue. */
    sent_at: bigint({ mode: 'number' }),
    /** Unix seconds before which it is not begun. */
    due_at: bigint({ mode: 'number' }).notNull(),
    started_at: bigint({ mode: 'number' }),
    finished_at: bigint({ mode: 'number' }),
    /** Unix seconds after which the row and its result may be gone. */
    expires_at: bigint({ mode: 'number' }).notNull(),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    index().on(table.org_id, table.created_at),
    index().on(table.due_at).where(sql`status in ('queued', 'running')`),
    index().on(table.expires_at),
  ],
)

import { bigint, index, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** Append-only: nobody may change or remove a row, and a trigger sees to it that nobody can. */
export const auditLog = pgTable(
  'audit_log',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    actor_kind: text({ enum: ['user', 'api_key', 'operator', 'system', 'anonymous'] }).notNull(),
    /** A user's or key's id; null when nobody is known. */
    actor_id: text(),
    /** `key.create`, `member.role`, `login`. */
    action: text().notNull(),
    target_kind: text(),
    target_id: text(),
    /** SHA-256 of the row before and after, where there was one: proof of what changed without its contents. */
    before_hash: text(),
    after_hash: text(),
    /** Facts that are safe to show: a role, a reason. Never a secret. */
    details: jsonb().$type<Record<string, unknown>>().notNull().default({}),
    ip: text(),
    request_id: text(),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.created_at), index().on(table.org_id, table.target_id)],
)

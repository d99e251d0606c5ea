import { bigint, index, jsonb, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'
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
    /** Place in the organisation's chain, the hash of the row before, and of this one with it: a trigger sets them. */
    seq: bigint({ mode: 'number' }),
    prev_hash: text(),
    hash: text(),
  },
  (table) => [
    index().on(table.org_id, table.created_at),
    index().on(table.org_id, table.target_id),
    uniqueIndex().on(table.org_id, table.seq),
  ],
)

/** The end of each organisation's chain. Only the trigger writes it. */
export const auditHeads = pgTable('audit_heads', {
  org_id: text()
    .primaryKey()
    .references(() => orgs.id),
  seq: bigint({ mode: 'number' }).notNull(),
  hash: text().notNull(),
})

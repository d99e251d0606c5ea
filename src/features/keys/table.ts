import { bigint, index, pgTable, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'
import { users } from '../users/table.ts'

/** The secret itself is never stored: `secret_hash` is its HMAC under a pepper that only the Worker holds. */
export const apiKeys = pgTable(
  'api_keys',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    /** Who made it: the key can do no more than this person can now. Null for a key of the seed script. */
    user_id: text().references(() => users.id),
    agent_id: text(),
    policy_id: text(),
    name: text().notNull(),
    mode: text({ enum: ['live', 'test'] }).notNull(),
    public_id: text().notNull().unique(),
    secret_hash: text().notNull().unique(),
    last4: text().notNull(),
    scopes: text().array().notNull(),
    /** Null allows every model. */
    allowed_models: text().array(),
    /** Addresses and CIDR blocks; null allows every address. */
    allowed_ips: text().array(),
    last_used_at: bigint({ mode: 'number' }),
    /** The key that this one replaces. */
    rotated_from: text(),
    /** The first key of a line of replacements, itself for that one: limits and budgets bind the whole line. */
    root_id: text().notNull().default(''),
    expires_at: bigint({ mode: 'number' }),
    revoked_at: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    index().on(table.org_id, table.created_at),
    index().on(table.org_id, table.user_id),
    index().on(table.org_id, table.root_id),
  ],
)

import { bigint, boolean, index, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { roles } from '../../core/roles.ts'
import { orgs } from '../orgs/table.ts'

/** People. They belong to no organisation; a membership ties them to each of theirs. */
export const users = pgTable('users', {
  id: text().primaryKey(),
  username: text().notNull(),
  /** Case-folded: what a name is compared by. */
  username_key: text().notNull().unique(),
  email: text().notNull(),
  email_key: text().notNull().unique(),
  display_name: text(),
  /** A PHC string; null for someone who signs in through another issuer only. */
  password_hash: text(),
  is_active: boolean().notNull().default(true),
  is_operator: boolean().notNull().default(false),
  /** Unix seconds, as every time here. */
  email_verified_at: bigint({ mode: 'number' }),
  failed_logins: integer().notNull().default(0),
  locked_until: bigint({ mode: 'number' }),
  last_login_at: bigint({ mode: 'number' }),
  created_at: bigint({ mode: 'number' }).notNull(),
  updated_at: bigint({ mode: 'number' }).notNull(),
})

/** One row for each person in an organisation; a trigger keeps at least one active owner in each. */
export const memberships = pgTable(
  'memberships',
  {
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    user_id: text()
      .notNull()
      .references(() => users.id),
    role: text({ enum: roles }).notNull(),
    is_active: boolean().notNull().default(true),
    invited_by: text(),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.org_id, table.user_id] }), index().on(table.user_id)],
)

/** The token itself is only in the mail; here is its SHA-256. */
export const invitations = pgTable(
  'invitations',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    email: text().notNull(),
    role: text({ enum: roles }).notNull(),
    token_hash: text().notNull().unique(),
    invited_by: text(),
    expires_at: bigint({ mode: 'number' }).notNull(),
    accepted_at: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.created_at)],
)

/** Tokens of one use that were mailed to a person. Only definer functions read them. */
export const userTokens = pgTable(
  'user_tokens',
  {
    token_hash: text().primaryKey(),
    user_id: text()
      .notNull()
      .references(() => users.id),
    purpose: text({ enum: ['verify_email', 'reset_password'] }).notNull(),
    /** The address that was written to, which is the one that gets verified. */
    email: text().notNull(),
    expires_at: bigint({ mode: 'number' }).notNull(),
    used_at: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.user_id)],
)

/** The way in for the first operator: hashed, one use, and gone for good once there is an operator. */
export const bootstrapTokens = pgTable('bootstrap_tokens', {
  token_hash: text().primaryKey(),
  expires_at: bigint({ mode: 'number' }).notNull(),
  used_at: bigint({ mode: 'number' }),
  created_at: bigint({ mode: 'number' }).notNull(),
})

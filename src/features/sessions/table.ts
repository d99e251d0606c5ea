import { bigint, index, pgTable, text } from 'drizzle-orm/pg-core'
import { roles } from '../../core/roles.ts'
import { orgs } from '../orgs/table.ts'
import { users } from '../users/table.ts'

/** One row for each sign-in of a person to one organisation: a family of refresh tokens, of which one is alive. */
export const loginSessions = pgTable(
  'login_sessions',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    user_id: text()
      .notNull()
      .references(() => users.id),
    audience: text({ enum: ['helix', 'helix-admin'] }).notNull(),
    /** How the person proved who they are; what another issuer said binds a session to its organisation. */
    method: text({ enum: ['password', 'oidc'] }).notNull(),
    /** The most that this session may be, whatever the membership says: the role that another issuer's token was given. */
    max_role: text({ enum: roles }),
    user_agent: text(),
    ip: text(),
    /** Unix seconds after which no refresh helps. */
    expires_at: bigint({ mode: 'number' }).notNull(),
    refreshed_at: bigint({ mode: 'number' }),
    revoked_at: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.created_at), index().on(table.user_id)],
)

/** Every refresh token there was in a session, by its SHA-256: using one twice gives a theft away. */
export const refreshTokens = pgTable(
  'refresh_tokens',
  {
    token_hash: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    session_id: text()
      .notNull()
      .references(() => loginSessions.id),
    expires_at: bigint({ mode: 'number' }).notNull(),
    rotated_at: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.session_id)],
)

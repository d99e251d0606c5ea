import { bigint, boolean, index, jsonb, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { roles } from '../../core/roles.ts'
import { orgs } from '../orgs/table.ts'
import { users } from '../users/table.ts'

/** Names of claims, where they are not those of the standard. */
export type ClaimMap = { [what in 'subject' | 'email' | 'username' | 'role']?: string | undefined }

/** Issuers whose tokens an organisation takes in exchange for a session of its own. */
export const oidcProviders = pgTable(
  'oidc_providers',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    name: text().notNull(),
    issuer: text().notNull(),
    client_id: text(),
    audiences: text().array().notNull(),
    /** Null: the issuer's discovery document says. */
    jwks_uri: text(),
    allowed_algs: text().array().notNull(),
    claim_map: jsonb().$type<ClaimMap>().notNull().default({}),
    /** What a token must say beside that, by claim: the exact value, or the beginning of one and a `*`. */
    required_claims: jsonb().$type<Record<string, string>>().notNull().default({}),
    /** Which value of the role claim gives which role. */
    role_map: jsonb().$type<Record<string, (typeof roles)[number]>>().notNull().default({}),
    default_role: text({ enum: roles }).notNull(),
    /** Makes an account for a subject that has none, and links one by a verified e-mail address. */
    auto_create: boolean().notNull().default(false),
    /** The role of whoever configured it: nobody gets more through it. */
    max_role: text({ enum: roles }).notNull(),
    deleted_at: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.created_at), index().on(table.issuer)],
)

/** Who a subject of an issuer is here. */
export const oidcIdentities = pgTable(
  'oidc_identities',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    provider_id: text()
      .notNull()
      .references(() => oidcProviders.id),
    subject: text().notNull(),
    user_id: text()
      .notNull()
      .references(() => users.id),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [uniqueIndex().on(table.provider_id, table.subject), index().on(table.org_id, table.user_id)],
)

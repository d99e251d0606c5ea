import { sql } from 'drizzle-orm'
import { bigint, jsonb, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'

/** Keys that sign access tokens; they belong to the whole installation. At most one is active and one next. */
export const signingKeys = pgTable(
  'signing_keys',
  {
    kid: text().primaryKey(),
    alg: text({ enum: ['ES256'] }).notNull(),
    public_jwk: jsonb().$type<Record<string, string>>().notNull(),
    /** Sealed: see features/encryption. */
    private_jwk: text().notNull(),
    state: text({ enum: ['next', 'active', 'retired'] }).notNull(),
    /** Unix seconds since when it is published, and since when it signs. */
    created_at: bigint({ mode: 'number' }).notNull(),
    activated_at: bigint({ mode: 'number' }),
    /** After this nothing that it signed is taken any more; null until it retires. */
    not_after: bigint({ mode: 'number' }),
  },
  (table) => [uniqueIndex().on(table.state).where(sql`state in ('next', 'active')`)],
)

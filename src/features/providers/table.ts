import { sql } from 'drizzle-orm'
import { bigint, boolean, index, integer, jsonb, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'
import type { AccountQuirks } from '../../core/accounts.ts'
import type { Price } from '../catalog/service.ts'
import { orgs } from '../orgs/table.ts'

/** A model that an organisation's own provider serves; figures are USD per million tokens, absent where not known. */
export type OwnModel = {
  name: string
  /** What the provider takes in a request, where that is another name. */
  upstream_name?: string | undefined
  kind: 'chat' | 'embedding'
  context_window?: number | undefined
  max_output_tokens?: number | undefined
  capabilities?: readonly string[] | undefined
  input_usd?: number | undefined
  cached_input_usd?: number | undefined
  cache_write_usd?: number | undefined
  output_usd?: number | undefined
  /** Of the row in `own_prices` that has these figures. */
  price_id?: string | undefined
}

/** Providers that an organisation has an account of its own with, beside those of the installation. */
export const providers = pgTable(
  'providers',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    /** What calls name it by: `name/model`. One of the catalog's takes that vendor's place. */
    name: text().notNull(),
    kind: text({ enum: ['openai_compatible', 'anthropic', 'gemini', 'ollama'] }).notNull(),
    /** Without the path of an endpoint. */
    base_url: text().notNull(),
    /** The vendor of the catalog whose models and prices it has; null for one that the catalog does not know. */
    vendor: text(),
    /** Models that the catalog does not have. */
    models: jsonb().$type<OwnModel[]>().notNull().default([]),
    enabled: boolean().notNull().default(true),
    /** 1 to 100; smaller is tried first. */
    priority: integer().notNull().default(50),
    weight: integer().notNull().default(1),
    timeout_ms: integer().notNull().default(60_000),
    connect_timeout_ms: integer().notNull().default(10_000),
    max_retries: integer().notNull().default(2),
    /** Calls that it answers at once; more wait their turn. Null: as many as there are. */
    max_concurrency: integer(),
    quirks: jsonb().$type<AccountQuirks>().notNull().default({}),
    region: text(),
    deleted_at: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    index().on(table.org_id, table.created_at),
    uniqueIndex().on(table.org_id, table.name).where(sql`deleted_at is null`),
  ],
)

/** Keys of a provider, each sealed under the organisation's data key. */
export const providerCredentials = pgTable(
  'provider_credentials',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    provider_id: text()
      .notNull()
      .references(() => providers.id),
    label: text().notNull(),
    /** Sealed: see features/encryption. */
    secret: text().notNull(),
    /** Version of the data key it is sealed under. */
    dek_version: integer().notNull(),
    last4: text().notNull(),
    is_active: boolean().notNull().default(true),
    last_used_at: bigint({ mode: 'number' }),
    /** Until then it is not used: the provider refused it. */
    cooldown_until: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.provider_id), uniqueIndex().on(table.provider_id, table.label)],
)

/** What an organisation said that its own providers cost, by the id that ledger rows keep. Append-only, as `prices`. */
export const ownPrices = pgTable(
  'own_prices',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    provider_id: text().notNull(),
    model: text().notNull(),
    figures: jsonb().$type<Pick<Price, 'base' | 'tiers'>>().notNull(),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.provider_id)],
)

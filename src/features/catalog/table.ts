import { bigint, index, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import type { Price } from './types.ts'

/**
 * Every price that a call was ever charged with, by the id that its ledger row keeps. Append-only: a price that changes
 * is another row. Of no organisation: what it pays its own providers is in `own_prices`.
 */
export const prices = pgTable(
  'prices',
  {
    id: text().primaryKey(),
    provider: text().notNull(),
    model: text().notNull(),
    figures: jsonb().$type<Pick<Price, 'base' | 'tiers'>>().notNull(),
    /** The day of the catalog that brought it, as `2026-11-21`. */
    valid_from: text().notNull(),
    source: text().notNull(),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.provider, table.model)],
)

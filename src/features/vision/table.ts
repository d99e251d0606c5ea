import { bigint, boolean, index, integer, jsonb, pgTable, real, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** Pictures that an organisation wants to find again. Their vectors are in `embeddings`, owned by `image`. */
export const images = pgTable(
  'images',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    sha256: text().notNull(),
    /** Key in the bucket; null where only the vector is kept. */
    r2_key: text(),
    filename: text(),
    mime: text().notNull(),
    width: integer().notNull(),
    height: integer().notNull(),
    size_bytes: integer().notNull(),
    /** 64 bits as 16 hex digits; null for a format whose pixels nobody here can read. */
    phash: text(),
    caption: text(),
    tags: jsonb().$type<string[]>().notNull().default([]),
    source_id: text(),
    metadata: jsonb().$type<Record<string, unknown>>().notNull().default({}),
    created_by: text(),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    index().on(table.org_id, table.created_at),
    uniqueIndex().on(table.org_id, table.sha256),
    index().on(table.org_id, table.phash),
  ],
)

/** What was asked of pictures, without the pictures. Kept for 90 days. */
export const visionRuns = pgTable(
  'vision_runs',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    request_id: text().notNull(),
    operation: text().notNull(),
    model: text(),
    provider: text(),
    ok: boolean().notNull(),
    error_code: text(),
    ms: integer().notNull(),
    tokens: integer(),
    confidence: real(),
    image_sha256: text(),
    image_bytes: integer(),
    created_by: text(),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.created_at), index().on(table.created_at)],
)

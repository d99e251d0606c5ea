import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  customType,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  real,
  text,
  uniqueIndex,
} from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

const tsvector = customType<{ data: string }>({ dataType: () => 'tsvector' })
/** A configuration of Postgres' text search: `english`, `simple`. */
const regconfig = customType<{ data: string }>({ dataType: () => 'regconfig' })

/** Which generation of a source's chunks is searched. A source is indexed anew beside the old one, and then swapped. */
export const semanticSources = pgTable(
  'semantic_sources',
  {
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    source_id: text().notNull(),
    generation: text().notNull(),
    content_sha256: text(),
    chunk_count: integer().notNull(),
    language: text(),
    metadata: jsonb().$type<Record<string, unknown>>().notNull().default({}),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.org_id, table.source_id] })],
)

/** Pieces of texts. Their vectors are in `embeddings`, owned by `chunk`. */
export const chunks = pgTable(
  'chunks',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    source_id: text().notNull(),
    /** That of its source while it is searched; others are being written, or are on their way out. */
    generation: text().notNull(),
    is_current: boolean().notNull(),
    chunk_index: integer().notNull(),
    content: text().notNull(),
    /** In UTF-16 units of the text. */
    start_offset: integer().notNull(),
    end_offset: integer().notNull(),
    token_count: integer().notNull(),
    content_sha256: text().notNull(),
    /** 64 bits as 16 hex digits. */
    simhash: text().notNull(),
    language: regconfig().notNull(),
    tsv: tsvector().generatedAlwaysAs(sql`to_tsvector(language, content)`),
    metadata: jsonb().$type<Record<string, unknown>>().notNull().default({}),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    index().on(table.org_id, table.source_id, table.generation),
    index().on(table.org_id, table.content_sha256),
    index().using('gin', table.tsv).where(sql`is_current`),
    index('chunks_left').on(table.org_id, table.updated_at).where(sql`not is_current`),
  ],
)

export const entities = pgTable(
  'entities',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    name: text().notNull(),
    canonical_name: text().notNull(),
    entity_type: text().notNull(),
    description: text(),
    properties: jsonb().$type<Record<string, unknown>>().notNull().default({}),
    confidence: real(),
    mention_count: integer().notNull().default(1),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    uniqueIndex().on(table.org_id, table.entity_type, table.canonical_name),
    index().on(table.org_id, table.created_at),
  ],
)

/** Where a relation stands in a text: UTF-16 offsets. */
export type Evidence = { source_id: string | null; start: number; end: number; text: string }

export const relations = pgTable(
  'relations',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    source_entity_id: text()
      .notNull()
      .references(() => entities.id),
    target_entity_id: text()
      .notNull()
      .references(() => entities.id),
    relation_type: text().notNull(),
    description: text(),
    confidence: real(),
    evidence: jsonb().$type<Evidence[]>().notNull().default([]),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    uniqueIndex('relations_ends').on(table.org_id, table.source_entity_id, table.target_entity_id, table.relation_type),
    index().on(table.org_id, table.target_entity_id),
    index().on(table.org_id, table.created_at),
  ],
)

export const duplicatePairs = pgTable(
  'duplicate_pairs',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    original_content_id: text().notNull(),
    duplicate_content_id: text().notNull(),
    similarity_score: real().notNull(),
    duplicate_type: text({ enum: ['exact', 'near_exact', 'semantic'] }).notNull(),
    confidence: real(),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    uniqueIndex('duplicate_pairs_contents').on(table.org_id, table.original_content_id, table.duplicate_content_id),
  ],
)

/** Every search, for those who want to know what is looked for and not found. Kept for 90 days. */
export const semanticSearches = pgTable(
  'semantic_searches',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    request_id: text().notNull(),
    query: text().notNull(),
    mode: text({ enum: ['semantic', 'keyword', 'hybrid'] }).notNull(),
    space_id: text(),
    top_k: integer().notNull(),
    results: integer().notNull(),
    best_score: real(),
    ms: integer().notNull(),
    created_by: text(),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.created_at), index().on(table.created_at)],
)

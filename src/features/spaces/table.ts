import { sql } from 'drizzle-orm'
import { bigint, boolean, customType, index, integer, pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** Vectors of one model and length. Those of different spaces say nothing of each other and are never compared. */
export const embeddingSpaces = pgTable(
  'embedding_spaces',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    /** As it was first resolved: `ollama/nomic-embed-text:latest`. */
    model: text().notNull(),
    dimensions: integer().notNull(),
    /** `caption`: of pictures, by the text that describes them. */
    modality: text({ enum: ['text', 'image', 'caption'] }).notNull(),
    is_default: boolean().notNull().default(false),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    uniqueIndex().on(table.org_id, table.model, table.dimensions, table.modality),
    uniqueIndex().on(table.org_id, table.modality).where(sql`is_default`),
  ],
)

/** pgvector's type without a length, as its own text: `[0.1,0.2]`. Every length has an index of its own. */
const vector = customType<{ data: number[]; driverData: string }>({
  dataType: () => 'vector',
  toDriver: (value) => `[${value.join(',')}]`,
  fromDriver: (text) => JSON.parse(text),
})

/** Lengths that are searched by an index; others are compared one by one. */
export const INDEXED_DIMENSIONS = [384, 512, 768, 1024, 1536] as const

/** Unit vectors of whatever can be found by its meaning. */
export const embeddings = pgTable(
  'embeddings',
  {
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    space_id: text()
      .notNull()
      .references(() => embeddingSpaces.id),
    owner_kind: text({ enum: ['chunk', 'image', 'entity'] }).notNull(),
    owner_id: text().notNull(),
    /** What the owner belongs to: filters by it need no join. */
    source_id: text(),
    dimensions: integer().notNull(),
    embedding: vector().notNull(),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [
    uniqueIndex().on(table.org_id, table.space_id, table.owner_kind, table.owner_id),
    index().on(table.org_id, table.owner_kind, table.owner_id),
    ...INDEXED_DIMENSIONS.map((dimensions) =>
      index(`embeddings_hnsw_${dimensions}`)
        .using('hnsw', sql.raw(`(embedding::vector(${dimensions})) vector_cosine_ops`))
        .where(sql.raw(`dimensions = ${dimensions}`)),
    ),
  ],
)

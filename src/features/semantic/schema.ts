import * as z from 'zod'
import { MAX_OWN_CHUNKS } from './limits.ts'

const MAX_METADATA_KEYS = 16

export const SourceId = z
  .string()
  .regex(/^[^\p{Cc}\s](?:[^\p{Cc}]{0,198}[^\p{Cc}\s])?$/u, 'is no name of 1 to 200 characters')
  .describe('Your own name for what the text is from: a document, a page.')
export const ModelName = z
  .string()
  .min(1)
  .max(255)
  .describe('What makes the vectors. Without it: what the first texts of the organisation were embedded with.')
const Metadata = z
  .record(z.string().min(1).max(64), z.union([z.string().max(512), z.number(), z.boolean()]))
  .refine((fields) => Object.keys(fields).length <= MAX_METADATA_KEYS, { message: 'has more than 16 keys' })
  .describe('Comes back with every chunk that is found.')

export const EmbedBody = z.strictObject({
  text: z.string().min(1).describe('At most 10,000 characters.'),
  model_name: ModelName.optional(),
})
export type EmbedBody = z.output<typeof EmbedBody>

export const EmbedBatchBody = z.strictObject({
  texts: z.array(z.string().min(1)).min(1).max(100).describe('Each of at most 10,000 characters.'),
  model_name: ModelName.optional(),
})
export type EmbedBatchBody = z.output<typeof EmbedBatchBody>

const embedded = {
  dimensions: z.int(),
  model_used: z.string(),
  generated_at: z.int(),
}
const Vector = z.array(z.number())
const Windows = z
  .int()
  .describe('Into how many parts the text was cut for the model. The vector of several is their mean by length.')

export const EmbedView = z.object({
  object: z.literal('semantic.embedding'),
  embedding: Vector,
  text_length: z.int(),
  windows: Windows,
  ...embedded,
})
export const EmbedBatchView = z.object({
  object: z.literal('semantic.embeddings'),
  embeddings: z.array(Vector),
  windows: z.array(Windows),
  ...embedded,
})

export const SimilarityBody = z
  .strictObject({
    texts: z.array(z.string().min(1)).length(2).optional(),
    ids: z
      .array(z.string().regex(/^chk_[0-9a-z]{26}$/))
      .length(2)
      .optional()
      .describe('Of chunks.'),
    model_name: ModelName.optional(),
  })
  .refine(({ texts, ids }) => (texts === undefined) !== (ids === undefined), {
    message: 'takes either texts or ids',
    path: ['texts'],
  })
export type SimilarityBody = z.output<typeof SimilarityBody>
export const SimilarityView = z.object({
  object: z.literal('semantic.similarity'),
  similarity: z.number().describe('The cosine of the two vectors; nothing in common is 0.'),
  model_used: z.string(),
})

const CHARACTERS = { size: 1000, overlap: 200 }
const TOKENS = { size: 512, overlap: 50 }

/** How a text is cut. */
const cutting = {
  chunk_size: z.int().min(100).max(4000).optional().describe('1000 characters or 512 tokens unless said.'),
  chunk_overlap: z.int().min(0).max(1999).optional().describe('200 characters or 50 tokens unless said.'),
  unit: z.enum(['char', 'token']).default('char').describe('Tokens are estimated.'),
}
type Cutting = { chunk_size?: number | undefined; chunk_overlap?: number | undefined; unit: 'char' | 'token' }

/** What is left out gets its default; an overlap that was not asked for gives way to a small size. */
export function cuttingOf({ chunk_size, chunk_overlap, unit }: Cutting) {
  const usual = unit === 'char' ? CHARACTERS : TOKENS
  const size = chunk_size ?? usual.size
  const overlap = chunk_overlap ?? Math.min(usual.overlap, Math.floor(size / 5))
  return { size, overlap, unit }
}

const hasRoom = (body: Cutting): boolean => {
  const { size, overlap } = cuttingOf(body)
  return overlap < size / 2
}
const noRoom = { message: 'is not less than half of chunk_size', path: ['chunk_overlap'] }

export const ChunkBody = z
  .strictObject({
    text: z.string().describe('At most 1,000,000 characters.'),
    source_id: SourceId.optional().describe('Made up unless given.'),
    metadata: Metadata.default({}),
    ...cutting,
    store: z.boolean().default(true).describe('False shows the chunks and keeps none.'),
    model_name: ModelName.optional(),
  })
  .refine(hasRoom, noRoom)
export type ChunkBody = z.output<typeof ChunkBody>

export const ChunkItem = z.object({
  id: z.string().nullable().describe('Null for what is not kept.'),
  content: z.string(),
  chunk_index: z.int(),
  start_offset: z.int().describe('In UTF-16 units of the text, as `text.slice` counts.'),
  end_offset: z.int(),
  token_count: z.int().describe('An estimate.'),
  metadata: z.record(z.string(), z.unknown()),
  source_id: z.string().nullable(),
  created_at: z.int(),
})
export type ChunkItem = z.input<typeof ChunkItem>

export const ChunksView = z.object({
  object: z.literal('semantic.chunks'),
  source_id: z.string().nullable(),
  chunks: z.array(ChunkItem),
  chunking_parameters: z.object({ chunk_size: z.int(), chunk_overlap: z.int(), unit: z.enum(['char', 'token']) }),
  stored: z.boolean(),
})

const OwnChunk = z.strictObject({ content: z.string().min(1), metadata: Metadata.default({}) })

export const IndexBody = z
  .strictObject({
    source_id: SourceId,
    text: z.string().optional().describe('At most 1,000,000 characters. Either this or `chunks`.'),
    chunks: z
      .array(OwnChunk)
      .min(1)
      .max(MAX_OWN_CHUNKS)
      .optional()
      .describe('Pieces that you have cut yourself, each of at most 10,000 characters.'),
    metadata: Metadata.default({}),
    ...cutting,
    replace: z.boolean().default(true).describe('False is refused (409) where the source is there already.'),
    model_name: ModelName.optional(),
  })
  .refine(hasRoom, noRoom)
  .refine(({ text, chunks }) => (text === undefined) !== (chunks === undefined), {
    message: 'takes either text or chunks',
    path: ['text'],
  })
export type IndexBody = z.output<typeof IndexBody>

export const IndexView = z.object({
  object: z.literal('semantic.index'),
  source_id: z.string(),
  chunks: z.int().describe('How many there are now.'),
  replaced: z.int().describe('How many there were before.'),
  space_id: z.string().nullable().describe('Where their vectors are; null for a text without chunks.'),
  model_used: z.string().nullable(),
  language: z.string().describe('By whose rules its words are searched.'),
})
export type IndexView = z.input<typeof IndexView>

export const SourceParams = z.object({ source_id: SourceId })

const SourceFilter = z.union([SourceId.transform((one) => [one]), z.array(SourceId).min(1).max(50)])

export const SearchBody = z.strictObject({
  query: z.string().trim().min(1).describe('At most 2,000 characters.'),
  top_k: z.int().min(1).max(50).default(10),
  threshold: z
    .number()
    .min(0)
    .max(1)
    .default(0.7)
    .describe('Least cosine of what is found by its meaning. What is found by its words has none to reach.'),
  source_filter: SourceFilter.optional().describe('One source or up to 50.'),
  mode: z.enum(['semantic', 'keyword', 'hybrid']).default('semantic'),
  rerank: z
    .boolean()
    .default(false)
    .describe('Puts the best 30 in the order that a model for it, else one that reads, finds them relevant in.'),
  model_name: ModelName.optional().describe('Whose vectors are searched.'),
})
export type SearchBody = z.output<typeof SearchBody>

export const SearchResult = z.object({
  content_id: z.string(),
  content: z.string(),
  similarity_score: z.number().nullable().describe('The cosine; null where no vector was asked for.'),
  score: z
    .number()
    .describe('What results are in order of: the cosine, the weight of the words, or both fused; 0 to 1.'),
  metadata: z.record(z.string(), z.unknown()),
  source_id: z.string(),
  chunk_index: z.int(),
  start_offset: z.int(),
  end_offset: z.int(),
})
export type SearchResult = z.input<typeof SearchResult>

export const SearchView = z.object({
  object: z.literal('semantic.search'),
  results: z.array(SearchResult),
  search_parameters: z.object({
    mode: z.enum(['semantic', 'keyword', 'hybrid']),
    top_k: z.int(),
    threshold: z.number(),
    source_filter: z.array(z.string()).nullable(),
    model_used: z.string().nullable(),
    space_id: z.string().nullable(),
    rerank: z.boolean(),
    reranked_by: z.array(z.string()).describe('The models that were asked for the order.'),
  }),
})

export const HealthView = z.object({
  object: z.literal('semantic.health'),
  status: z.enum(['healthy', 'degraded']).describe('Degraded: texts are found by their words alone.'),
  embedding: z.object({
    available: z.boolean(),
    model: z.string(),
    space_id: z.string().nullable(),
  }),
  sources: z.int(),
  chunks: z.int(),
})

export const StatsView = z.object({
  object: z.literal('semantic.stats'),
  sources: z.int(),
  chunks: z.int(),
  spaces: z.array(
    z.object({
      id: z.string(),
      model: z.string(),
      dimensions: z.int(),
      modality: z.enum(['text', 'image', 'caption']),
      is_default: z.boolean(),
      vectors: z.int(),
    }),
  ),
  searches: z
    .object({
      count: z.int(),
      without_results: z.int(),
      mean_ms: z.number().nullable(),
      by_mode: z.record(z.string(), z.int()),
    })
    .describe('Of the last 30 days.'),
  configuration: z.record(z.string(), z.union([z.number(), z.string()])),
})

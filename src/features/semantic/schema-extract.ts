import * as z from 'zod'
import { ModelName, SourceId } from './schema.ts'

export const Reader = z
  .string()
  .min(1)
  .max(255)
  .describe('Who reads the text. Without it the best model of your own nodes, or else what routing chooses.')
export const Windows = z.int().describe('Into how many parts the text was cut to be read. All of them were.')
export const ModelsUsed = z.array(z.string()).describe('Who answered.')
export const Share = z.number().min(0).max(1)

export const DuplicatesBody = z.strictObject({
  content_id: SourceId.describe('Of a source, of a chunk, or your own name for a text that is not kept.'),
  content: z.string().min(1).describe('At most 10,000 characters.'),
  threshold: z.number().min(0.6).max(1).default(0.85).describe('What is found is more alike than that.'),
  candidate_pool: z
    .int()
    .min(1)
    .max(500)
    .default(200)
    .describe('How many are compared of those nearest by meaning, and of those written alike.'),
  model_name: ModelName.optional(),
})
export type DuplicatesBody = z.output<typeof DuplicatesBody>

export const DuplicatesView = z.object({
  object: z.literal('semantic.duplicates'),
  content_id: z.string(),
  duplicates: z.array(
    z.object({
      original_content_id: z.string().describe('The older one: a chunk, a whole source, or the text itself.'),
      duplicate_content_id: z.string(),
      similarity_score: Share.describe('The better of the cosine and what shingles of five characters have in common.'),
      duplicate_type: z
        .enum(['exact', 'near_exact', 'semantic'])
        .describe('More alike than 0.95, than 0.90, than the threshold.'),
      confidence: Share.nullable().describe('How far meaning and writing agree; null where there is no vector.'),
      confidence_source: z.enum(['agreement']).nullable(),
    }),
  ),
  compared: z.int().describe('With how many it was compared.'),
  threshold: z.number(),
  model_used: z.string().nullable().describe('Null where nothing has a vector to compare with.'),
})

const Category = z.string().trim().min(1).max(100)

export const ClassifyBody = z.strictObject({
  content: z.string().trim().min(1).describe('At most 20,000 characters.'),
  categories: z
    .array(Category)
    .min(2)
    .max(50)
    .refine((names) => new Set(names).size === names.length, { message: 'has a category twice' })
    .refine((names) => !names.includes('__proto__'), { message: 'has a name that no field can have' }),
  confidence_threshold: Share.default(0.7).describe('Least probability of `top_category` and of `labels`.'),
  multi_label: z.boolean().default(false).describe('Whether a text may belong to several categories.'),
  model_name: Reader.optional(),
})
export type ClassifyBody = z.output<typeof ClassifyBody>

export const ClassifyView = z.object({
  object: z.literal('semantic.classification'),
  classification: z
    .record(z.string(), Share)
    .describe('How probable each category is: the mean over the windows, each as heavy as it is long.'),
  top_category: z.string().nullable().describe('Null where none reaches the threshold.'),
  labels: z.array(z.string()).describe('With `multi_label`, all that reach the threshold.'),
  subcategory: z.string().nullable(),
  tags: z.array(z.string()),
  confidence_source: z.literal('model'),
  windows: Windows,
  models_used: ModelsUsed,
})

export const RerankBody = z.strictObject({
  query: z.string().trim().min(1).describe('At most 2,000 characters.'),
  documents: z
    .array(z.string().min(1))
    .min(1)
    .max(100)
    .describe('Each of at most 10,000 characters, and all of at most 200,000.'),
  top_n: z.int().min(1).max(100).optional().describe('How many come back; all unless said.'),
  model_name: Reader.optional(),
})
export type RerankBody = z.output<typeof RerankBody>

export const RerankView = z.object({
  object: z.literal('semantic.rerank'),
  results: z
    .array(z.object({ index: z.int().describe('In `documents`.'), score: Share }))
    .describe('The most relevant first.'),
  method: z.enum(['rerank', 'judge']).describe('By a model that was made for it, or by one that reads and judges.'),
  windows: z.int().describe('In how many parts the documents were shown.'),
  models_used: ModelsUsed,
})

const Interest = z.string().trim().min(1).max(500)

export const ImportanceBody = z.strictObject({
  content: z.string().trim().min(1).describe('At most 20,000 characters.'),
  context: z
    .strictObject({
      interests: z.array(Interest).max(50).default([]).describe('What the text may be relevant to.'),
      time_sensitivity: z
        .enum(['high', 'medium', 'low'])
        .default('medium')
        .describe('Of what is 2, 14 or 90 days old 37 % are left.'),
      place: Interest.optional().describe('One interest more.'),
      now: z.int().min(0).optional().describe('Unix seconds; the present unless said.'),
    })
    .default({ interests: [], time_sensitivity: 'medium' }),
  content_id: SourceId.optional().describe('Of the source or the chunk that it is kept as: not compared with itself.'),
  published_at: z.int().min(0).optional().describe('Unix seconds.'),
  engagement: Share.optional().describe('What share of your texts is read less than this one.'),
  authority: Share.optional().describe('How far its source is to be trusted.'),
  links: z.int().min(0).optional().describe('How many texts it is linked with; those in it unless said.'),
  model_name: ModelName.optional(),
})
export type ImportanceBody = z.output<typeof ImportanceBody>

const perPart = <Value extends z.ZodType>(value: Value) =>
  z.object({
    quality: value,
    relevance: value,
    timeliness: value,
    uniqueness: value,
    engagement: value,
    authority: value,
    cross_references: value,
  })

export const ImportanceView = z.object({
  object: z.literal('semantic.importance'),
  importance_score: Share.describe('The sum of all parts, each multiplied with its weight.'),
  importance_level: z.enum(['high', 'medium', 'low']).describe('High above 0.7, medium above 0.4.'),
  dimensions: perPart(Share.nullable()).describe('Null where nothing is known.'),
  weights: perPart(Share).describe('They add up to 1: a part of which nothing is known has none.'),
  quality_parts: z.object({
    readability: Share,
    coherence: Share.nullable(),
    informativeness: Share,
    structure: Share,
  }),
  windows: Windows,
  model_used: z.string().nullable().describe('Null where there was nothing to compare it with.'),
})

import * as z from 'zod'
import { ModelName, SourceId } from './schema.ts'

const Share = z.number().min(0).max(1)

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

import * as z from 'zod'
import { pageFields } from '../../http/page.ts'
import { entityTypes } from './graph-told.ts'
import { ModelName, SourceId } from './schema.ts'

const Reader = z
  .string()
  .min(1)
  .max(255)
  .describe('Who reads the text. Without it the best model of your own nodes, or else what routing chooses.')
const Windows = z.int().describe('Into how many parts the text was cut to be read. All of them were.')
const ModelsUsed = z.array(z.string()).describe('Who answered.')
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

export const RelationsBody = z.strictObject({
  text: z.string().min(1).describe('At most 20,000 characters.'),
  source_id: SourceId.optional(),
  model_name: Reader.optional(),
})
export type RelationsBody = z.output<typeof RelationsBody>

const EntityType = z.enum(entityTypes)
const Properties = z.record(z.string(), z.unknown())
const Evidence = z.object({
  start: z.int().describe('In UTF-16 units of the text, as `text.slice` counts.'),
  end: z.int(),
  text: z.string(),
})

export const RelationsView = z.object({
  object: z.literal('semantic.relations'),
  source_id: z.string().nullable(),
  entities: z.object({
    total: z.int(),
    items: z.array(
      z.object({
        id: z.string(),
        name: z.string(),
        entity_type: EntityType,
        description: z.string().nullable(),
        properties: Properties,
        confidence: Share,
        mentions: z.int().describe('How often the text names it.'),
      }),
    ),
  }),
  relations: z.object({
    total: z.int(),
    items: z.array(
      z.object({
        id: z.string(),
        source_entity_id: z.string(),
        target_entity_id: z.string(),
        relation_type: z.string(),
        description: z.string().nullable(),
        confidence: Share,
        evidence: z.array(Evidence),
      }),
    ),
  }),
  dropped_relations: z
    .int()
    .describe('Told by the model without both ends, or with a passage that the text does not have.'),
  merged_by: z
    .enum(['meaning', 'name'])
    .describe('Whether other names of the same entity were found, or a model for that was missing.'),
  confidence_source: z.literal('model'),
  windows: Windows,
  models_used: ModelsUsed,
})

const listFields = {
  ...pageFields,
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('How many to return.'),
}

export const EntitiesQuery = z.strictObject({
  ...listFields,
  entity_type: EntityType.optional(),
  search: z.string().trim().min(1).max(500).optional().describe('A part of the name.'),
})
export type EntitiesQuery = z.output<typeof EntitiesQuery>

const isEntityId = z.string().regex(/^ent_[0-9a-hjkmnp-tv-z]{26}$/, 'is no id of an entity')
export const EntityParams = z.object({ id: isEntityId })

export const RelationsQuery = z.strictObject({
  ...listFields,
  relation_type: z.string().min(1).max(63).optional(),
  entity_id: isEntityId.optional().describe('At either end.'),
})
export type RelationsQuery = z.output<typeof RelationsQuery>

export const RelationView = z.object({
  id: z.string(),
  object: z.literal('semantic.relation'),
  source_entity_id: z.string(),
  target_entity_id: z.string(),
  relation_type: z.string(),
  description: z.string().nullable(),
  confidence: z.number().nullable().describe('Of the text that was surest.'),
  evidence: z.array(Evidence.extend({ source_id: z.string().nullable() })),
  created_at: z.int(),
  updated_at: z.int(),
})
export type RelationView = z.input<typeof RelationView>

export const EntityView = z.object({
  id: z.string(),
  object: z.literal('semantic.entity'),
  name: z.string(),
  entity_type: z.string(),
  description: z.string().nullable(),
  properties: Properties,
  confidence: z.number().nullable().describe('Of the text that was surest.'),
  mention_count: z.int().describe('In all texts that were read; a text that is read again counts again.'),
  created_at: z.int(),
  updated_at: z.int(),
})
export type EntityView = z.input<typeof EntityView>

/** One entity, with what leads to it and from it. */
export const EntityWithRelations = EntityView.extend({
  relations: z.array(RelationView).describe('The 200 surest.'),
})

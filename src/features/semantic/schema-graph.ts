import * as z from 'zod'
import { pageFields } from '../../http/page.ts'
import { entityTypes } from './graph-told.ts'
import { SourceId } from './schema.ts'
import { ModelsUsed, Reader, Share, Windows } from './schema-extract.ts'

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

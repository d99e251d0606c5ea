import * as z from 'zod'
import type { Shape } from '../calls/service.ts'

export const entityTypes = [
  'person',
  'organisation',
  'place',
  'product',
  'event',
  'concept',
  'date',
  'quantity',
  'other',
] as const
export type EntityType = (typeof entityTypes)[number]

const Sureness = z.number().min(0).max(1)

const Told = z.object({
  entities: z.array(
    z.object({
      name: z.string().min(1).max(200),
      type: z.enum(entityTypes),
      description: z.string().max(1000).nullable(),
      properties: z.array(z.object({ name: z.string().min(1).max(64), value: z.string().max(512) })),
      confidence: Sureness,
    }),
  ),
  relations: z.array(
    z.object({
      source: z.string().min(1).max(200),
      target: z.string().min(1).max(200),
      type: z.string().min(1).max(200),
      description: z.string().max(1000).nullable(),
      confidence: Sureness,
      evidence: z.string().max(2000),
    }),
  ),
})

/** What a model tells of one window of a text. */
export type GraphTold = z.output<typeof Told>
export type EntityTold = GraphTold['entities'][number]
export type RelationTold = GraphTold['relations'][number]

export const graphShape: Shape<GraphTold> = { name: 'extract_relations', schema: Told }

export const graphInstructions = [
  'You extract entities and the relations between them from texts.',
  `The types of entities are: ${entityTypes.join(', ')}.`,
  'List each entity once, by the fullest name that the text has for it, with what the text says of it.',
  'A relation leads from one of these entities to another, both by the names that you have listed. Its type is a short ' +
    'verb in snake_case, such as works_for or located_in.',
  'As `evidence`, copy the shortest passage that states the relation, letter for letter. What no passage states is no relation.',
  'As `confidence`, say from 0 to 1 how sure you are.',
].join('\n')

import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { embedIntoSpace } from '../spaces/service.ts'
import { chunkText } from './chunker.ts'
import { draftGraph, type Entity, keyOf, type Relation, sameAmong } from './graph.ts'
import { keptNames, type NameVectors, type Stored, storeGraph } from './graph-rows.ts'
import { graphInstructions, graphShape } from './graph-told.ts'
import { MAX_READ_CHARS, requireLength } from './limits.ts'
import { modelsOf, readerFor, readWindows } from './reading.ts'
import type { RelationsBody } from './schema-graph.ts'

const WINDOW = { size: 2000, overlap: 200, unit: 'char' } as const
const MAX_TOKENS = 4000

/**
 * The entities of a text and the relations that it states, kept beside those of other texts. Throws 422 `too_long`, and
 * as `readWindows`.
 */
export async function extractRelations(ctx: Ctx, { text, source_id: sourceId, model_name }: RelationsBody) {
  requireLength('text', text, MAX_READ_CHARS)
  const spans = chunkText(text, WINDOW)
  const reader = await readerFor(ctx, 'text_analysis', model_name)
  const read = await readWindows(ctx, {
    reader,
    instructions: graphInstructions,
    windows: spans.map(({ start, end }) => text.slice(start, end)),
    shape: graphShape,
    maxTokens: MAX_TOKENS,
  })
  const drafts = draftGraph(
    text,
    read.flatMap(({ data }, at) => (spans[at] ? [{ span: spans[at], told: data }] : [])),
  )
  const named = await vectorsFor(ctx, drafts.entities)
  const names = named ? await keptNames(ctx, drafts.entities, named) : new Map<string, string>()
  const graph = drafts.finish(sameAmong(drafts.entities, { vectors: named?.vectors ?? new Map(), names }))
  const stored = await storeGraph(ctx, { graph, names, named, sourceId, text })
  return {
    object: 'semantic.relations' as const,
    source_id: sourceId ?? null,
    entities: listOf(graph.entities.map((entity) => entityItem(entity, stored))),
    relations: listOf(graph.relations.map((relation) => relationItem(relation, { stored, text }))),
    dropped_relations: graph.dropped,
    merged_by: named ? ('meaning' as const) : ('name' as const),
    confidence_source: 'model' as const,
    windows: spans.length,
    models_used: modelsOf(read),
  }
}

/** Of their names; undefined where nothing makes vectors, and names have to be the same to be of one thing. */
async function vectorsFor(
  ctx: Ctx,
  entities: readonly Pick<Entity, 'name' | 'type' | 'canonicalName'>[],
): Promise<NameVectors | undefined> {
  if (entities.length === 0) return undefined
  try {
    const { space, vectors } = await embedIntoSpace(ctx, { texts: entities.map(({ name }) => name) })
    return { space, vectors: new Map(entities.map((entity, at) => [keyOf(entity), vectors[at] ?? []])) }
  } catch (error) {
    if (error instanceof AppError && error.code === 'no_capable_model') return undefined
    throw error
  }
}

/** The surest first. */
const listOf = <Item extends { confidence: number }>(items: readonly Item[]) => ({
  total: items.length,
  items: items.toSorted((one, other) => other.confidence - one.confidence),
})

const entityItem = (entity: Entity, { entityIds }: Stored) => ({
  id: entityIds.get(entity) ?? '',
  name: entity.name,
  entity_type: entity.type,
  description: entity.description,
  properties: entity.properties,
  confidence: entity.confidence,
  mentions: entity.mentions,
})

const relationItem = (relation: Relation, { stored, text }: { stored: Stored; text: string }) => ({
  id: stored.relationIds.get(relation) ?? '',
  source_entity_id: stored.entityIds.get(relation.source) ?? '',
  target_entity_id: stored.entityIds.get(relation.target) ?? '',
  relation_type: relation.type,
  description: relation.description,
  confidence: relation.confidence,
  evidence: relation.evidence.map(({ start, end }) => ({ start, end, text: text.slice(start, end) })),
})

import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import type { QueryBuilder } from '../../core/db.ts'
import { indexSettings, insertVectors, nearestRows, type Space } from '../spaces/service.ts'
import { type Entity, type Graph, keyOf, type Relation, SAME_COSINE } from './graph.ts'

/** Evidence that is kept of a relation. */
const MOST_EVIDENCE = 100

type World = Pick<Ctx, 'db' | 'caller' | 'now' | 'newId'>

/** The vectors of names, by the keys of their entities. */
export type NameVectors = { space: Space; vectors: ReadonlyMap<string, readonly number[]> }
type Named = Pick<Entity, 'type' | 'canonicalName'>

/** The names, by key, of kept entities that these are other names of; not those that are kept under their own. */
export async function keptNames(
  { db, caller: { orgId } }: Pick<Ctx, 'db' | 'caller'>,
  entities: readonly Named[],
  { space, vectors }: NameVectors,
): Promise<Map<string, string>> {
  const keys = JSON.stringify(entities.map(({ type, canonicalName }) => ({ type, name: canonicalName })))
  const [{ rows: kept }] = await db.atomically(orgId, (query) => [
    query.execute<{ entity_type: string; canonical_name: string }>(sql`select e.entity_type, e.canonical_name
      from entities e join jsonb_to_recordset(${keys}::jsonb) as wanted(type text, name text)
        on wanted.type = e.entity_type and wanted.name = e.canonical_name
      where e.org_id = ${orgId}`),
  ])
  const isKept = new Set(kept.map((row) => `${row.entity_type} ${row.canonical_name}`))
  const others = entities.flatMap((entity) => {
    const vector = vectors.get(keyOf(entity))
    return vector && !isKept.has(keyOf(entity)) ? [{ entity, vector }] : []
  })
  if (others.length === 0) return new Map()
  const [, ...found] = await db.atomically(orgId, (query) => [
    indexSettings(query),
    ...others.map(({ entity: { type }, vector }) => {
      const near = nearestRows(orgId, { space, vector, ownerKind: 'entity', limit: 1, filter: { sourceIds: [type] } })
      return query.execute<{ canonical_name: string; similarity: number }>(sql`select k.canonical_name, near.similarity
        from (${near}) near join entities k on k.org_id = ${orgId} and k.id = near.owner_id`)
    }),
  ])
  return new Map(
    others.flatMap(({ entity }, at) => {
      const [nearest] = found[at]?.rows ?? []
      return nearest && Number(nearest.similarity) >= SAME_COSINE ? [[keyOf(entity), nearest.canonical_name]] : []
    }),
  )
}

export type Storing = {
  graph: Graph
  /** By key, where it is another than the canonical one. */
  names: ReadonlyMap<string, string>
  named: NameVectors | undefined
  sourceId: string | undefined
  text: string
}

/** The ids that entities and relations are kept under. */
export type Stored = { entityIds: ReadonlyMap<Entity, string>; relationIds: ReadonlyMap<Relation, string> }

/** Keeps what was found in a text, beside what was found in others, all of it or nothing. */
export async function storeGraph(ctx: World, storing: Storing): Promise<Stored> {
  const { graph, names } = storing
  if (graph.entities.length === 0) return { entityIds: new Map(), relationIds: new Map() }
  const { orgId } = ctx.caller
  const nameOf = (entity: Entity): string => names.get(keyOf(entity)) ?? entity.canonicalName
  const fresh = graph.entities.map((entity) => ({ entity, id: ctx.newId('ent') }))
  const [entityRows, relationRows] = await ctx.db.atomically(orgId, (query) => [
    insertEntities(query, ctx, { fresh, nameOf }),
    insertRelations(query, ctx, { ...storing, nameOf }),
    ...vectorStatements(query, ctx, { ...storing, fresh }),
  ])
  const idOf = new Map(entityRows.rows.map((row) => [`${row.entity_type} ${row.canonical_name}`, row.id]))
  const entityIds = new Map(graph.entities.map((one) => [one, idOf.get(`${one.type} ${nameOf(one)}`) ?? '']))
  const relationIdOf = new Map(
    relationRows.rows.map((row) => [[row.source_entity_id, row.target_entity_id, row.relation_type].join(' '), row.id]),
  )
  const endsOf = ({ source, target, type }: Relation): string =>
    [entityIds.get(source), entityIds.get(target), type].join(' ')
  return { entityIds, relationIds: new Map(graph.relations.map((one) => [one, relationIdOf.get(endsOf(one)) ?? ''])) }
}

type Fresh = readonly { entity: Entity; id: string }[]
type Naming = { nameOf: (entity: Entity) => string }

/** In one order for everybody, so that nobody waits for somebody who waits for them. */
function insertEntities(query: QueryBuilder, ctx: World, { fresh, nameOf }: Naming & { fresh: Fresh }) {
  const seconds = nowSeconds(ctx)
  const rows = fresh.map(({ entity, id }) => ({
    id,
    name: entity.name,
    canonical_name: nameOf(entity),
    entity_type: entity.type,
    description: entity.description,
    properties: entity.properties,
    confidence: entity.confidence,
    mention_count: entity.mentions,
  }))
  return query.execute<{ id: string; entity_type: string; canonical_name: string }>(sql`insert into entities
      (id, org_id, name, canonical_name, entity_type, description, properties, confidence, mention_count,
        created_at, updated_at)
    select v.id, ${ctx.caller.orgId}, v.name, v.canonical_name, v.entity_type, v.description, v.properties,
      v.confidence, v.mention_count, ${seconds}::bigint, ${seconds}::bigint
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as v(id text, name text, canonical_name text,
      entity_type text, description text, properties jsonb, confidence real, mention_count int)
    order by v.entity_type, v.canonical_name
    on conflict (org_id, entity_type, canonical_name) do update set
      mention_count = entities.mention_count + excluded.mention_count,
      confidence = greatest(entities.confidence, excluded.confidence),
      description = coalesce(entities.description, excluded.description),
      properties = excluded.properties || entities.properties, updated_at = excluded.updated_at
    returning id, entity_type, canonical_name`)
}

/** What a source was found to state before gives way to what it is found to state now. */
function insertRelations(query: QueryBuilder, ctx: World, { graph, sourceId, text, nameOf }: Storing & Naming) {
  const { orgId } = ctx.caller
  const seconds = nowSeconds(ctx)
  const source = sourceId ?? null
  const rows = graph.relations.map((relation) => ({
    id: ctx.newId('rel'),
    source_type: relation.source.type,
    source_name: nameOf(relation.source),
    target_type: relation.target.type,
    target_name: nameOf(relation.target),
    relation_type: relation.type,
    description: relation.description,
    confidence: relation.confidence,
    evidence: relation.evidence.map(({ start, end }) => ({
      source_id: source,
      start,
      end,
      text: text.slice(start, end),
    })),
  }))
  return query.execute<{ id: string; source_entity_id: string; target_entity_id: string; relation_type: string }>(
    sql`insert into relations (id, org_id, source_entity_id, target_entity_id, relation_type, description, confidence,
        evidence, created_at, updated_at)
      select v.id, ${orgId}, s.id, t.id, v.relation_type, v.description, v.confidence, v.evidence,
        ${seconds}::bigint, ${seconds}::bigint
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as v(id text, source_type text,
        source_name text, target_type text, target_name text, relation_type text, description text, confidence real,
        evidence jsonb)
      join entities s on s.org_id = ${orgId} and s.entity_type = v.source_type and s.canonical_name = v.source_name
      join entities t on t.org_id = ${orgId} and t.entity_type = v.target_type and t.canonical_name = v.target_name
      order by s.id, t.id, v.relation_type
      on conflict (org_id, source_entity_id, target_entity_id, relation_type) do update set
        confidence = greatest(relations.confidence, excluded.confidence),
        description = coalesce(relations.description, excluded.description), updated_at = excluded.updated_at,
        evidence = (select coalesce(jsonb_agg(piece), '[]') from (
          select piece from jsonb_array_elements(excluded.evidence) as piece
          union
          select piece from jsonb_array_elements(relations.evidence) as piece
            where ${source}::text is null or piece ->> 'source_id' is distinct from ${source}
          limit ${MOST_EVIDENCE}) pieces)
      returning id, source_entity_id, target_entity_id, relation_type`,
  )
}

/** Of those that were kept under their own name for the first time; the ids of others are nobody's. */
function vectorStatements(query: QueryBuilder, ctx: World, { named, fresh }: Storing & { fresh: Fresh }) {
  if (!named) return []
  const { orgId } = ctx.caller
  const owned = fresh.flatMap(({ entity, id }) => {
    const vector = named.vectors.get(keyOf(entity))
    // Names of one type are only ever compared with each other.
    return vector ? [{ ownerId: id, sourceId: entity.type, vector }] : []
  })
  if (owned.length === 0) return []
  const ids = sql.join(
    fresh.map(({ id }) => sql`${id}`),
    sql`, `,
  )
  return [
    insertVectors(query, ctx, { space: named.space, ownerKind: 'entity', owned }),
    query.execute(sql`delete from embeddings e where e.org_id = ${orgId} and e.owner_kind = 'entity'
      and e.owner_id in (${ids})
      and not exists (select from entities n where n.org_id = ${orgId} and n.id = e.owner_id)`),
  ]
}

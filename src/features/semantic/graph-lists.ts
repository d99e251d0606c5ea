import { and, asc, desc, eq, gt, lt, or, sql } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import type { EntitiesQuery, EntityView, RelationsQuery, RelationView } from './schema-graph.ts'
import { entities, relations } from './table.ts'

type Stored = Pick<Ctx, 'db' | 'caller'>
type EntityRow = typeof entities.$inferSelect
type RelationRow = typeof relations.$inferSelect

/** With an entity, so many of its relations are shown. */
const MOST_RELATIONS = 200

export const entityView = ({ org_id: _, canonical_name: _name, ...row }: EntityRow): EntityView => ({
  ...row,
  object: 'semantic.entity',
})

export const relationView = ({ org_id: _, ...row }: RelationRow): RelationView => ({
  ...row,
  object: 'semantic.relation',
})

/** One more than asked for. */
export async function listEntities({ db, caller: { orgId } }: Stored, query: EntitiesQuery): Promise<EntityRow[]> {
  const { limit, after, order, entity_type: type, search } = query
  const isNext = order === 'asc' ? gt : lt
  const [rows] = await db.atomically(orgId, (from) => [
    from
      .select()
      .from(entities)
      .where(
        and(
          eq(entities.org_id, orgId),
          type === undefined ? undefined : eq(entities.entity_type, type),
          search === undefined ? undefined : sql`strpos(lower(${entities.name}), lower(${search})) > 0`,
          after === undefined ? undefined : isNext(entities.id, after),
        ),
      )
      .orderBy((order === 'asc' ? asc : desc)(entities.id))
      .limit(limit + 1),
  ])
  return rows
}

/** Throws 404. */
export async function readEntity({ db, caller: { orgId } }: Stored, id: string) {
  const [[row], own] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(entities)
      .where(and(eq(entities.org_id, orgId), eq(entities.id, id))),
    query
      .select()
      .from(relations)
      .where(and(eq(relations.org_id, orgId), atEitherEnd(id)))
      .orderBy(desc(relations.confidence), asc(relations.id))
      .limit(MOST_RELATIONS),
  ])
  if (!row) throw notFound('entity')
  return { ...entityView(row), relations: own.map(relationView) }
}

const atEitherEnd = (id: string) => or(eq(relations.source_entity_id, id), eq(relations.target_entity_id, id))

/** One more than asked for. */
export async function listRelations({ db, caller: { orgId } }: Stored, query: RelationsQuery): Promise<RelationRow[]> {
  const { limit, after, order, relation_type: type, entity_id: entityId } = query
  const isNext = order === 'asc' ? gt : lt
  const [rows] = await db.atomically(orgId, (from) => [
    from
      .select()
      .from(relations)
      .where(
        and(
          eq(relations.org_id, orgId),
          type === undefined ? undefined : eq(relations.relation_type, type),
          entityId === undefined ? undefined : atEitherEnd(entityId),
          after === undefined ? undefined : isNext(relations.id, after),
        ),
      )
      .orderBy((order === 'asc' ? asc : desc)(relations.id))
      .limit(limit + 1),
  ])
  return rows
}

import { and, asc, desc, eq } from 'drizzle-orm'
import { sql } from 'drizzle-orm/sql'
import type { Ctx } from '../../core/context.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { embeddingSpaces as spaces } from './table.ts'

type Row = typeof spaces.$inferSelect
export type Modality = Row['modality']

/** Vectors of one model and length, of one organisation. */
export type Space = {
  /** `spc_…`. */
  id: string
  /** The target whose vectors they are: `ollama/nomic-embed-text:latest`. */
  model: string
  dimensions: number
  modality: Modality
  isDefault: boolean
}

export type SpaceWish = Pick<Space, 'model' | 'dimensions' | 'modality'>
type World = Pick<Ctx, 'db' | 'caller' | 'now' | 'newId'>

const spaceOf = ({ id, model, dimensions, modality, is_default: isDefault }: Row): Space => ({
  id,
  model,
  dimensions,
  modality,
  isDefault,
})

/**
 * The space of a model's vectors, made when they are the first. The first of a modality is what its organisation's
 * vectors of that kind go to where nobody names a model.
 */
export async function spaceFor(ctx: World, wish: SpaceWish): Promise<Space> {
  // Whoever came first with another model of that kind took the place of the default: the second try leaves it to them.
  const row = (await insertOrRead(ctx, wish)) ?? (await insertOrRead(ctx, wish))
  if (!row) throw new AppError('dependency_unavailable', 'The space of these vectors could not be made.')
  return spaceOf(row)
}

async function insertOrRead(
  { db, caller: { orgId }, now, newId }: World,
  { model, dimensions, modality }: SpaceWish,
): Promise<Row | undefined> {
  const seconds = Math.floor(now() / 1000)
  const [, [row]] = await db.atomically(orgId, (query) => [
    query.execute(
      sql`insert into embedding_spaces (id, org_id, model, dimensions, modality, is_default, created_at, updated_at)
        select ${newId('spc')}, ${orgId}, ${model}, ${dimensions}::int, ${modality},
          not exists (select from embedding_spaces
            where org_id = ${orgId} and modality = ${modality} and is_default), ${seconds}::bigint, ${seconds}::bigint
        where not exists (select from embedding_spaces
          where org_id = ${orgId} and model = ${model} and dimensions = ${dimensions}::int and modality = ${modality})
        on conflict do nothing`,
    ),
    query
      .select()
      .from(spaces)
      .where(
        and(
          eq(spaces.org_id, orgId),
          eq(spaces.model, model),
          eq(spaces.dimensions, dimensions),
          eq(spaces.modality, modality),
        ),
      ),
  ])
  return row
}

/** Where vectors of that kind go; undefined before the first. */
export async function defaultSpace(
  { db, caller: { orgId } }: Pick<Ctx, 'db' | 'caller'>,
  modality: Modality,
): Promise<Space | undefined> {
  const [[row]] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(spaces)
      .where(and(eq(spaces.org_id, orgId), eq(spaces.modality, modality), eq(spaces.is_default, true))),
  ])
  return row && spaceOf(row)
}

/** The organisation's spaces of a kind, the default one first. */
export async function spacesOf(
  { db, caller: { orgId } }: Pick<Ctx, 'db' | 'caller'>,
  modality: Modality,
): Promise<Space[]> {
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(spaces)
      .where(and(eq(spaces.org_id, orgId), eq(spaces.modality, modality)))
      .orderBy(desc(spaces.is_default), asc(spaces.id)),
  ])
  return rows.map(spaceOf)
}

/** Throws 404. */
export async function readSpace({ db, caller: { orgId } }: Pick<Ctx, 'db' | 'caller'>, id: string): Promise<Space> {
  const [[row]] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(spaces)
      .where(and(eq(spaces.org_id, orgId), eq(spaces.id, id))),
  ])
  if (!row) throw notFound('embedding space')
  return spaceOf(row)
}

/** 503: nothing serves the model any more that the vectors of this space are of, so that none can be compared to them. */
export const spaceWithoutModel = ({ id, model }: Pick<Space, 'id' | 'model'>, cause?: unknown): AppError =>
  new AppError('no_capable_model', `The model '${model}' of the embedding space ${id} cannot be reached.`, {
    details: { capability: 'embedding', space: id, model },
    cause,
  })

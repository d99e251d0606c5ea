import { and, eq } from 'drizzle-orm'
import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import type { QueryBuilder } from '../../core/db.ts'
import { notFound } from '../../core/errors.ts'
import { insertVectors, type Space } from '../spaces/service.ts'
import type { CutChunk } from './pieces.ts'
import { simhashOf } from './simhash.ts'
import { chunks, semanticSources as sources } from './table.ts'

type World = Pick<Ctx, 'db' | 'caller' | 'now' | 'newId'>
type Stored = Pick<World, 'db' | 'caller'>
export type ChunkRow = Omit<typeof chunks.$inferSelect, 'tsv'>
export type SourceRow = typeof sources.$inferSelect

/** A source's chunks of one time it was indexed. Generations sort by time. */
export type Generation = { sourceId: string; generation: string }

/** A statement has at most so many rows. */
const ROWS_AT_ONCE = 100

/** Writes the chunks of a generation that is not searched yet, beside the one that is. */
export async function writeChunks(
  ctx: World,
  { sourceId, generation, language }: Generation & { language: string },
  cut: readonly CutChunk[],
): Promise<ChunkRow[]> {
  const { orgId } = ctx.caller
  const now = nowSeconds(ctx)
  const written: ChunkRow[] = []
  for (let from = 0; from < cut.length; from += ROWS_AT_ONCE) {
    const rows = await Promise.all(
      cut.slice(from, from + ROWS_AT_ONCE).map(
        async ({ content, startOffset, endOffset, tokenCount, metadata }, at): Promise<ChunkRow> => ({
          id: ctx.newId('chk'),
          org_id: orgId,
          source_id: sourceId,
          generation,
          is_current: false,
          chunk_index: from + at,
          content,
          start_offset: startOffset,
          end_offset: endOffset,
          token_count: tokenCount,
          content_sha256: await sha256Of(content),
          simhash: simhashOf(content),
          language,
          metadata,
          created_at: now,
          updated_at: now,
        }),
      ),
    )
    await ctx.db.atomically(orgId, (query) => [query.insert(chunks).values(rows)])
    written.push(...rows)
  }
  return written
}

export async function sha256Of(text: string): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))).toString('hex')
}

/** Chunks of a generation that have no vector yet, in their order. Without a space none has. */
export async function chunksWithoutVector(
  { db, caller: { orgId } }: Stored,
  { sourceId, generation, space, limit }: Generation & { space: Space | undefined; limit: number },
): Promise<{ id: string; content: string }[]> {
  const lacksVector =
    space &&
    sql`not exists (select from embeddings e where e.org_id = ${orgId} and e.space_id = ${space.id}
      and e.owner_kind = 'chunk' and e.owner_id = ${chunks.id})`
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select({ id: chunks.id, content: chunks.content })
      .from(chunks)
      .where(
        and(eq(chunks.org_id, orgId), eq(chunks.source_id, sourceId), eq(chunks.generation, generation), lacksVector),
      )
      .orderBy(chunks.chunk_index)
      .limit(limit),
  ])
  return rows
}

export type NewSource = Generation & {
  contentSha256: string | undefined
  chunkCount: number
  language: string
  metadata: Record<string, unknown>
  /** Takes the place of what is there under the same name. */
  replace: boolean
}

/**
 * Has a generation searched from now on in place of the one before, in one transaction: whoever searches sees either all
 * of the one or all of the other. What it replaces is removed.
 * @returns how many chunks it took the place of; undefined where it may not: a later one did, or its chunks were removed
 */
export async function swapIn({ db, caller: { orgId }, now }: World, source: NewSource): Promise<number | undefined> {
  const { sourceId, generation, contentSha256 = null, chunkCount, language, metadata, replace } = source
  const seconds = nowSeconds({ now })
  const isIn = sql`exists (select from semantic_sources s
    where s.org_id = ${orgId} and s.source_id = ${sourceId} and s.generation = ${generation})`
  const isOld = sql`c.org_id = ${orgId} and c.source_id = ${sourceId} and c.is_current and c.generation < ${generation} and ${isIn}`
  const mayReplace = replace
    ? sql`semantic_sources.generation <= excluded.generation`
    : sql`semantic_sources.generation = excluded.generation`
  const [, before, placed] = await db.atomically(orgId, (query) => [
    oneAtATime(query, orgId, sourceId),
    query.execute<{ count: number }>(sql`select count(*)::int as count from chunks
      where org_id = ${orgId} and source_id = ${sourceId} and is_current and generation <> ${generation}`),
    query.execute(sql`insert into semantic_sources
        (org_id, source_id, generation, content_sha256, chunk_count, language, metadata, created_at, updated_at)
      select ${orgId}, ${sourceId}, ${generation}, ${contentSha256}, ${chunkCount}::int, ${language},
        ${JSON.stringify(metadata)}::jsonb, ${seconds}::bigint, ${seconds}::bigint
      where ${chunkCount}::int = (select count(*) from chunks
        where org_id = ${orgId} and source_id = ${sourceId} and generation = ${generation})
      on conflict (org_id, source_id) do update set generation = excluded.generation,
        content_sha256 = excluded.content_sha256, chunk_count = excluded.chunk_count, language = excluded.language,
        metadata = excluded.metadata, updated_at = excluded.updated_at
      where semantic_sources.org_id = ${orgId} and ${mayReplace}
      returning generation`),
    query.execute(sql`delete from embeddings e using chunks c
      where e.org_id = ${orgId} and e.owner_kind = 'chunk' and e.owner_id = c.id and ${isOld}`),
    query.execute(sql`delete from chunks c where ${isOld}`),
    query.execute(sql`update chunks set is_current = true, updated_at = ${seconds}::bigint
      where org_id = ${orgId} and source_id = ${sourceId} and generation = ${generation} and not is_current and ${isIn}`),
  ])
  return placed.rows.length === 0 ? undefined : Number(before.rows[0]?.count ?? 0)
}

/** Removes what was written of a generation that is not searched. */
export async function discard({ db, caller: { orgId } }: Stored, { sourceId, generation }: Generation): Promise<void> {
  const isIt = sql`c.org_id = ${orgId} and c.source_id = ${sourceId} and c.generation = ${generation} and not c.is_current`
  await db.atomically(orgId, (query) => [
    query.execute(sql`delete from embeddings e using chunks c
      where e.org_id = ${orgId} and e.owner_kind = 'chunk' and e.owner_id = c.id and ${isIt}`),
    query.execute(sql`delete from chunks c where ${isIt}`),
  ])
}

/** Keeps the vectors of chunks. Those of a chunk that was removed in the meantime are not kept. */
export async function storeChunkVectors(
  ctx: World,
  { space, sourceId }: { space: Space; sourceId: string },
  vectors: readonly (readonly [chunkId: string, vector: readonly number[]])[],
): Promise<void> {
  const { orgId } = ctx.caller
  for (let from = 0; from < vectors.length; from += ROWS_AT_ONCE) {
    const some = vectors.slice(from, from + ROWS_AT_ONCE)
    const ids = sql.join(
      some.map(([id]) => sql`${id}`),
      sql`, `,
    )
    const owned = some.map(([ownerId, vector]) => ({ ownerId, sourceId, vector }))
    await ctx.db.atomically(orgId, (query) => [
      query.execute(sql`select id from chunks where org_id = ${orgId} and id in (${ids}) for key share`),
      insertVectors(query, ctx, { space, ownerKind: 'chunk', owned }),
      query.execute(sql`delete from embeddings e
        where e.org_id = ${orgId} and e.space_id = ${space.id} and e.owner_kind = 'chunk' and e.owner_id in (${ids})
          and not exists (select from chunks c where c.org_id = ${orgId} and c.id = e.owner_id)`),
    ])
  }
}

/**
 * Who has a source searched and who removes it come one after the other: else the one would find no chunks and the other
 * no source, and what is left would be a source without chunks.
 */
const oneAtATime = (query: QueryBuilder, orgId: string, sourceId: string) =>
  query.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`semantic ${orgId} ${sourceId}`}::text, 0))`)

/** Removes a source with its chunks and vectors, also those that are being written. Throws 404 where there is neither. */
export async function removeSource({ db, caller: { orgId } }: Stored, sourceId: string): Promise<void> {
  const isOf = sql`c.org_id = ${orgId} and c.source_id = ${sourceId}`
  const [, , gone, , goneChunks] = await db.atomically(orgId, (query) => [
    oneAtATime(query, orgId, sourceId),
    // Whoever is about to store vectors of these chunks goes first, or finds that they are gone.
    query.execute(sql`select id from chunks c where ${isOf} for update`),
    query.execute(
      sql`delete from semantic_sources where org_id = ${orgId} and source_id = ${sourceId} returning source_id`,
    ),
    query.execute(sql`delete from embeddings e using chunks c where e.org_id = ${orgId} and e.owner_kind = 'chunk'
      and e.owner_id = c.id and ${isOf}`),
    query.execute(sql`with gone as (delete from chunks c where ${isOf} returning 1) select from gone limit 1`),
  ])
  if (gone.rows.length + goneChunks.rows.length === 0) throw notFound('source')
}

/** What is known of a source that is searched, and how many chunks the organisation has in all. */
export async function readSource(
  { db, caller: { orgId } }: Stored,
  sourceId: string,
): Promise<{ source: SourceRow | undefined; chunksInAll: number }> {
  const [[source], [all]] = await db.atomically(orgId, (query) => [
    query
      .select()
      .from(sources)
      .where(and(eq(sources.org_id, orgId), eq(sources.source_id, sourceId))),
    query
      .select({ count: sql<number>`coalesce(sum(${sources.chunk_count}), 0)::int` })
      .from(sources)
      .where(eq(sources.org_id, orgId)),
  ])
  return { source, chunksInAll: Number(all?.count ?? 0) }
}

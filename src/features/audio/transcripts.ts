import { and, asc, desc, eq, gt, isNull, lt, or, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import type { PageQuery } from '../../http/page.ts'
import type { TranscriptView } from './schema.ts'
import { type StoredSegment, transcripts } from './table.ts'
import type { Transcript } from './transcript.ts'

export const KEPT_SECONDS = 90 * 86_400

type Row = typeof transcripts.$inferSelect

type Kept = {
  /** The same of two attempts at one job. */
  id: string
  transcript: Transcript
  segments: readonly StoredSegment[]
  sourceId: string | undefined
}

export async function keepTranscript(ctx: Ctx, { id, transcript, segments, sourceId }: Kept): Promise<void> {
  const { orgId, userId, keyId } = ctx.caller
  const now = nowSeconds(ctx)
  const row: Row = {
    id,
    org_id: orgId,
    text: transcript.text,
    language: transcript.language ?? null,
    duration_ms: transcript.durationMs ?? null,
    segments: [...segments],
    words: (transcript.words ?? []).map(({ word, start, end }) => ({ word, start_ms: msOf(start), end_ms: msOf(end) })),
    source_id: sourceId ?? null,
    created_by: userId ?? keyId,
    expires_at: now + KEPT_SECONDS,
    created_at: now,
    updated_at: now,
  }
  await ctx.db.atomically(orgId, (query) => [query.insert(transcripts).values(row).onConflictDoNothing()])
}

export const msOf = (seconds: number): number => Math.max(0, Math.round(seconds * 1000))

const own = (ctx: Ctx) =>
  and(
    eq(transcripts.org_id, ctx.caller.orgId),
    or(isNull(transcripts.expires_at), gt(transcripts.expires_at, nowSeconds(ctx))),
  )

/** One more than asked for where there are more. */
export async function listTranscripts(ctx: Ctx, { limit, after, order }: PageQuery): Promise<Row[]> {
  const behind =
    after === undefined ? undefined : order === 'asc' ? gt(transcripts.id, after) : lt(transcripts.id, after)
  const [rows] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query
      .select()
      .from(transcripts)
      .where(and(own(ctx), behind))
      .orderBy(order === 'asc' ? asc(transcripts.id) : desc(transcripts.id))
      .limit(limit + 1),
  ])
  return rows
}

export async function readTranscript(ctx: Ctx, id: string): Promise<Row> {
  const [rows] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query
      .select()
      .from(transcripts)
      .where(and(own(ctx), eq(transcripts.id, id)))
      .limit(1),
  ])
  const [row] = rows
  if (!row) throw notFound('transcript')
  return row
}

/** For good: whoever has it removed wants it gone. */
export async function removeTranscript(ctx: Ctx, id: string): Promise<void> {
  const [rows] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    query
      .delete(transcripts)
      .where(and(own(ctx), eq(transcripts.id, id)))
      .returning({ one: sql`1` }),
  ])
  if (rows.length === 0) throw notFound('transcript')
}

export const viewOf = ({
  id,
  text,
  language,
  duration_ms,
  segments,
  words,
  expires_at,
  created_at,
}: Row): TranscriptView => ({
  id,
  object: 'audio.transcript',
  text,
  language,
  duration_ms,
  segments,
  words,
  expires_at,
  created_at,
})

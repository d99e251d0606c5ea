import { bigint, boolean, index, integer, jsonb, pgTable, real, text } from 'drizzle-orm/pg-core'
import { orgs } from '../orgs/table.ts'

/** What was asked of sounds, without the sounds. Kept for 90 days. */
export const audioRuns = pgTable(
  'audio_runs',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    request_id: text().notNull(),
    operation: text().notNull(),
    model: text(),
    provider: text(),
    ok: boolean().notNull(),
    error_code: text(),
    ms: integer().notNull(),
    /** Of the sound that was heard or made. */
    audio_ms: integer(),
    /** Of a text that was spoken. */
    characters: integer(),
    language: text(),
    confidence: real(),
    sha256: text(),
    created_by: text(),
    created_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.created_at), index().on(table.created_at)],
)

export type StoredSegment = {
  start_ms: number
  end_ms: number
  text: string
  speaker?: string | undefined
  avg_logprob?: number | undefined
  no_speech_prob?: number | undefined
}
export type StoredWord = { start_ms: number; end_ms: number; word: string }

/** Transcripts whose callers wanted them kept. */
export const transcripts = pgTable(
  'transcripts',
  {
    id: text().primaryKey(),
    org_id: text()
      .notNull()
      .references(() => orgs.id),
    text: text().notNull(),
    language: text(),
    duration_ms: integer(),
    segments: jsonb().$type<StoredSegment[]>().notNull().default([]),
    words: jsonb().$type<StoredWord[]>().notNull().default([]),
    source_id: text(),
    created_by: text(),
    expires_at: bigint({ mode: 'number' }),
    created_at: bigint({ mode: 'number' }).notNull(),
    updated_at: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [index().on(table.org_id, table.created_at), index().on(table.expires_at)],
)

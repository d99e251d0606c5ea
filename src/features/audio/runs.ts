import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import type { GivenSound } from './sound-input.ts'
import { audioRuns } from './table.ts'

/** What a run is remembered by: nothing of what was said. */
export type RunFacts = {
  /** Of the sound that was heard or made. */
  audioMs?: number | undefined
  /** Of the text that was spoken. */
  characters?: number | undefined
  language?: string | undefined
  confidence?: number | undefined
  /** Of the file that was sent, in hex. */
  sha256?: string | undefined
}

export type Run = RunFacts & {
  id: string
  operation: string
  model: string
  provider: string
  errorCode?: string | undefined
}

const MOST_MS = 2 ** 31 - 1

/** Written after the answer; one that is lost is only logged. */
export async function noteRun(ctx: Ctx, run: Run): Promise<void> {
  const { orgId, userId, keyId } = ctx.caller
  const row = {
    id: run.id,
    org_id: orgId,
    request_id: ctx.requestId,
    operation: run.operation,
    model: run.model,
    provider: run.provider,
    ok: run.errorCode === undefined,
    error_code: run.errorCode ?? null,
    ms: msOf(ctx.now() - ctx.startedMs),
    audio_ms: run.audioMs === undefined ? null : msOf(run.audioMs),
    characters: run.characters ?? null,
    language: run.language ?? null,
    confidence: run.confidence ?? null,
    sha256: run.sha256 ?? null,
    created_by: userId ?? keyId,
    created_at: nowSeconds(ctx),
  }
  try {
    await ctx.db.atomically(orgId, (query) => [query.insert(audioRuns).values(row)])
  } catch (cause) {
    ctx.log.warn('audio_run_not_noted', { request_id: ctx.requestId, cause: String(cause) })
  }
}

const msOf = (ms: number): number => Math.min(MOST_MS, Math.max(0, Math.round(ms)))

/** In hexadecimal; undefined for a long file of which nobody has told it. */
export async function sha256Of({ file: { content }, sha256 }: GivenSound): Promise<string | undefined> {
  if (sha256 !== undefined || !(content instanceof Uint8Array)) return sha256
  return Buffer.from(await crypto.subtle.digest('SHA-256', content)).toString('hex')
}

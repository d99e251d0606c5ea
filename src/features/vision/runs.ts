import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { Reply } from '../calls/service.ts'
import type { Picture } from './picture.ts'
import { visionRuns } from './table.ts'

/** What a run has come to, as far as it is written down: nothing of the picture, the prompt or the answer. */
export type Outcome = {
  target?: Pick<Reply['target'], 'provider' | 'model'> | undefined
  tokens?: number | undefined
  confidence?: number | null | undefined
}

type About = { operation: string; picture?: Pick<Picture, 'sha256' | 'sizeBytes'> | undefined }

/** Does something with a picture, and notes after the answer how it went. */
export async function recorded<T>(
  ctx: Ctx,
  about: About,
  work: () => Promise<{ answer: T; outcome: Outcome }>,
): Promise<T> {
  const startMs = ctx.now()
  try {
    const { answer, outcome } = await work()
    ctx.defer(note(ctx, { ...about, outcome, ms: ctx.now() - startMs }))
    return answer
  } catch (error) {
    const code = error instanceof AppError ? error.code : 'internal'
    ctx.defer(note(ctx, { ...about, outcome: {}, code, ms: ctx.now() - startMs }))
    throw error
  }
}

type Run = About & { outcome: Outcome; code?: string; ms: number }

async function note(ctx: Ctx, { operation, picture, outcome, code, ms }: Run): Promise<void> {
  const { orgId, keyId, userId } = ctx.caller
  const { target, tokens, confidence } = outcome
  const row = {
    id: ctx.newId('vis'),
    org_id: orgId,
    request_id: ctx.requestId,
    operation,
    model: target?.model ?? null,
    provider: target?.provider ?? null,
    ok: code === undefined,
    error_code: code ?? null,
    ms: Math.max(0, Math.round(ms)),
    tokens: tokens ?? null,
    confidence: confidence ?? null,
    image_sha256: picture?.sha256 ?? null,
    image_bytes: picture?.sizeBytes ?? null,
    created_by: userId ?? keyId,
    created_at: nowSeconds(ctx),
  }
  try {
    await ctx.db.atomically(orgId, (query) => [query.insert(visionRuns).values(row)])
  } catch (cause) {
    ctx.log.warn('vision_run_not_recorded', { org_id: orgId, operation, cause: String(cause) })
  }
}

/** Of the prompt and the answer; undefined where the model counted none. */
export const tokensOf = ({ usage }: Pick<Reply, 'usage'>): number | undefined =>
  usage && usage.prompt + usage.completion

import type { Ctx } from '../../core/context.ts'
import type { ChatCompletion, ChatMessage, StreamPart } from '../../core/models.ts'
import { within } from '../../core/within.ts'
import { type Place, seal } from '../encryption/service.ts'
import { createCollector } from './collector.ts'
import { keyOf } from './keys.ts'
import { remember } from './memory.ts'
import { type Written, writtenIn } from './message.ts'
import { signedIn, textOfSigned } from './signed.ts'

/** Long enough for whoever thinks about a result over night. */
export const KEPT_SECONDS = 24 * 3600
/** No more is kept of one message. */
const MAX_BYTES = 64 * 1024
/** An answer does not wait longer for what is only kept for its caller's convenience. */
const KEEP_WITHIN_MS = 1000

/**
 * How a model signs: `by` is the one that can read it; `texts` tells whether it signs texts and not only calls,
 * `reasoning` whether it wants its reasoning back as it is.
 */
export type Signing = { by: string; texts: boolean; reasoning: boolean }

/** What is kept opens where it was kept, and nowhere else. */
export const sealedAt = (orgId: string, key: string): Place => ({
  orgId,
  table: 'signatures',
  column: 'signed',
  rowId: key,
})

type World = Pick<Ctx, 'memory' | 'now' | 'log' | 'redis' | 'db' | 'settings' | 'admission' | 'defer'>

/** Who answers, how they sign, and the last message that they answer. */
export type Answering = Signing & { answered: ChatMessage | undefined }

/**
 * Watches a stream for what is signed in it. `take` gives a promise where these parts end a choice that was signed:
 * until it is resolved its caller must not see them, for they may be back with it in no time. It never rejects.
 */
export function createKeeper(ctx: World, answering: Answering) {
  const collector = createCollector(answering)
  return {
    take(parts: readonly StreamPart[]): Promise<void> | undefined {
      const ended = collector.take(parts)
      return ended.length === 0 ? undefined : keep(ctx, answering, ended)
    },
  }
}

/** The same for an answer in one piece. */
export const keepAnswer = (ctx: World, answering: Answering, { choices }: ChatCompletion): Promise<void> =>
  keep(
    ctx,
    answering,
    choices.map(({ message }) => writtenIn(message)),
  )

/** An answer is worth more than its signatures: nothing of this fails it. */
async function keep(ctx: World, answering: Answering, written: readonly Written[]): Promise<void> {
  const { orgId } = ctx.admission.policy
  const work = store(ctx, answering, written).catch((cause: unknown) => {
    ctx.log.warn('signatures_not_kept', { org_id: orgId, cause })
  })
  ctx.defer(work)
  await within(work, KEEP_WITHIN_MS)
}

async function store(ctx: World, answering: Answering, written: readonly Written[]): Promise<void> {
  const { orgId } = ctx.admission.policy
  const kept = (await Promise.all(written.map((one) => keptOf(ctx, answering, one)))).flat()
  if (kept.length === 0) return
  // In this isolate it is known whatever becomes of the stores.
  for (const { key, text, bytes } of kept) remember(ctx, key, { text, bytes })
  const sealed = await Promise.all(
    kept.map(async ({ key, text }) => ({ key, value: await seal(ctx, sealedAt(orgId, key), text) })),
  )
  await ctx.redis.pipeline(sealed.map(({ key, value }) => ['SETPX', key, value, KEPT_SECONDS * 1000]))
}

type Kept = { key: string; text: string; bytes: number }

async function keptOf(ctx: World, { by, answered, texts, reasoning }: Answering, given: Written): Promise<Kept[]> {
  if (given.calls.length === 0 && !texts) return []
  const written = reasoning ? given : { ...given, reasoning: '' }
  const { orgId } = ctx.admission.policy
  const signed = await signedIn(written, by)
  const key = signed && (await keyOf(orgId, written, answered))
  if (!signed || key === undefined) return []
  const text = textOfSigned(signed)
  const bytes = Buffer.byteLength(text)
  if (bytes <= MAX_BYTES) return [{ key, text, bytes }]
  ctx.log.warn('signatures_too_large', { org_id: orgId, by, bytes })
  return []
}

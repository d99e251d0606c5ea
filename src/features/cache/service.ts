import type { Ask, Policy } from '../../core/admission.ts'
import { secondsOf } from '../../core/clock.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import { within } from '../../core/within.ts'
import { SealError } from '../encryption/service.ts'
import { type KeptAnswer, keptFrom, openAnswer, sealAnswer, textOfKept } from './entry.ts'
import { cacheKeys, digestOf } from './key.ts'
import { heldStamp, recallAnswer, rememberAnswer } from './memory.ts'
import { keepScript, MAX_ENTRIES } from './scripts.ts'
import type { CacheUse } from './use.ts'

export { type KeptAnswer, MAX_ANSWER_BYTES } from './entry.ts'
export { CacheOptions } from './schema.ts'
export { type CacheUse, cacheUse, type Repeatability, wantsCache } from './use.ts'

/** A model is asked rather than waiting any longer for an answer to be opened. */
const OPEN_WITHIN_MS = 1000

/** The place of one answer. `digest` is what its caller knows it by. */
export type CacheSlot = { orgId: string; digest: string; key: string; use: CacheUse }

/** `question` is everything of the request that its answer depends on. */
export async function slotFor(
  { settings }: Pick<Deps, 'settings'>,
  policy: Pick<Policy, 'orgId' | 'routing'>,
  { use, question }: { use: CacheUse; question: unknown },
): Promise<CacheSlot> {
  const { orgId } = policy
  const digest = await digestOf(settings, policy, { use, question })
  return { orgId, digest, key: cacheKeys.entry(orgId, digest), use }
}

/** What admission has to ask for. */
export const cacheAsk = (deps: Pick<Deps, 'memory' | 'now'>, { orgId, key }: CacheSlot): NonNullable<Ask['cache']> => ({
  key,
  index: cacheKeys.index(orgId),
  held: heldStamp(deps, key),
})

type World = Pick<Ctx, 'db' | 'memory' | 'now' | 'log' | 'settings' | 'redis' | 'newId' | 'admission' | 'defer'>

/**
 * The answer that is kept, from what admission has found. Whatever is wrong with it, it is as if there were none: it was
 * sealed for somebody else or under a key that is gone, it is damaged, another release wrote it, or opening it takes too
 * long.
 */
export async function findKept(ctx: World, slot: CacheSlot): Promise<KeptAnswer | undefined> {
  const { cached } = ctx.admission
  if (!cached) return undefined
  const known = recallAnswer(ctx, slot.key, cached.stamp)
  if (known !== undefined) return keptFrom(known)
  if (cached.value === undefined) return undefined
  const opening = opened(ctx, slot, { stamp: cached.stamp, value: cached.value })
  ctx.defer(opening)
  return within(opening, OPEN_WITHIN_MS)
}

async function opened(
  ctx: World,
  slot: CacheSlot,
  { stamp, value }: { stamp: string; value: string },
): Promise<KeptAnswer | undefined> {
  try {
    const text = await openAnswer(ctx, slot, value)
    const kept = keptFrom(text)
    if (kept) rememberAnswer(ctx, slot.key, { stamp, text })
    return kept
  } catch (cause) {
    const { orgId, digest } = slot
    const why = cause instanceof SealError || cause instanceof DependencyError ? cause.message : String(cause)
    ctx.log.warn('answer_not_opened', { org_id: orgId, key: digest, why })
    return undefined
  }
}

/** What else is said of an answer that is kept, so that it can be found to be removed. */
export type About = { keyId: string; askedModel: string }

/**
 * Keeps an answer in one Redis request, for after the reply. One that is too long is not kept; a store that does not
 * answer keeps nothing, and nobody is told but the log.
 */
export async function keepAnswer(ctx: World, slot: CacheSlot, kept: KeptAnswer, about: About): Promise<void> {
  const text = textOfKept(kept)
  if (text === undefined) return
  const { orgId, key, use } = slot
  const stamp = ctx.newId('ans')
  try {
    const value = await sealAnswer(ctx, slot, text)
    const nowMs = ctx.now()
    const fields = {
      s: stamp,
      v: value,
      at: String(secondsOf(nowMs)),
      sc: use.scope,
      k: about.keyId,
      m: about.askedModel,
      t: kept.target,
      g: ` ${use.tags.join(' ')} `,
    }
    await ctx.redis.run(
      keepScript,
      [key, cacheKeys.index(orgId), cacheKeys.due(orgId)],
      [nowMs, use.ttlSeconds * 1000, MAX_ENTRIES, ...Object.entries(fields).flat()],
    )
    rememberAnswer(ctx, key, { stamp, text })
  } catch (cause) {
    ctx.log.warn('answer_not_kept', { org_id: orgId, key: slot.digest, why: String(cause) })
  }
}

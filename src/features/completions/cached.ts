import type { Policy } from '../../core/admission.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import type { ChatCompletion } from '../../core/models.ts'
import {
  type CacheSlot,
  type CacheUse,
  cacheUse,
  findKept,
  type KeptAnswer,
  keepAnswer,
  slotFor,
  wantsCache,
} from '../cache/service.ts'
import { isOutOfUse, mayAnswer, type Target } from '../routing/service.ts'
import { type Asked, mayReadMore } from './request.ts'

/** What the cache has to do with a call that is to be answered, and what its caller is told of it. */
export type Caching = {
  headers: Readonly<Record<string, string>>
  /** Where its answer is kept; undefined where it is not. */
  slot?: CacheSlot
}

/** An answer that was kept, of a target that the caller could have asked. */
export type Hit = Pick<Caching, 'headers'> & { kept: KeptAnswer; target: Target }

const OFF: Caching = { headers: {} }
const BYPASS: Caching = { headers: { 'x-helix-cache': 'bypass' } }

/** The place of a call's answer, for calls that are kept at all. */
export function slotOf(
  deps: Pick<Deps, 'settings'>,
  policy: Policy,
  asked: Asked,
): Promise<CacheSlot | undefined> | undefined {
  if (!wantsCache(policy, asked.cache)) return undefined
  const use = useOf(policy, asked)
  return use && slotFor(deps, policy, { use, question: questionOf(asked) })
}

const useOf = (policy: Policy, asked: Asked): CacheUse | undefined => {
  const { temperature } = asked.body
  return cacheUse(policy, asked.cache, {
    temperature: typeof temperature === 'number' ? temperature : undefined,
    hasEffects: hasEffects(asked),
  })
}

/** It goes on with what tools did, or a vendor looks something up for it: the same words may want another answer later. */
const hasEffects = ({ body, translation }: Asked): boolean =>
  translation?.readsMore === true ||
  mayReadMore(body) ||
  body.messages.some(({ role }) => role === 'tool' || role === 'function')

/** Fields that change nothing about an answer. */
const ASIDE: ReadonlySet<string> = new Set([
  'stream',
  'stream_options',
  'metadata',
  'user',
  'safety_identifier',
  'service_tier',
  'store',
  'prompt_cache_key',
  'prompt_cache_retention',
])

/**
 * Everything of a request that its answer depends on. What came in another wire is a question of its own: it says more
 * than its translation.
 */
function questionOf({ wanted, strict, body, translation }: Asked): unknown {
  const { native, untranslated, effort } = translation ?? {}
  return {
    wanted,
    strict,
    body: meantIn(body),
    native: native && { ...native, body: meantIn(native.body) },
    untranslated,
    effort,
  }
}

const meantIn = (body: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(body).filter(([field, value]) => !ASIDE.has(field) && value !== null))

/**
 * Looks for the answer of an admitted call in what admission has found, and notes what came of it. Throws as `mayAnswer`
 * does.
 */
export async function lookUp(ctx: Ctx, asked: Asked): Promise<{ caching: Caching } | { hit: Hit }> {
  const { policy } = ctx.admission
  if (!wantsCache(policy, asked.cache)) return { caching: OFF }
  const slot = await slotOf(ctx, policy, asked)
  if (!slot) return { caching: BYPASS }
  const kept = await findKept(ctx, slot)
  const isInUse = (one: Target): boolean => !isOutOfUse(ctx, policy, one, asked.wanted.model)
  const target = kept && mayAnswer(ctx, asked.wanted).find((one) => one.id === kept.target && isInUse(one))
  const decision = ctx.arrival?.decision
  if (decision) decision.cache = target ? 'exact' : 'miss'
  const headers = { 'x-helix-cache': target ? 'exact' : 'miss', 'x-helix-cache-key': slot.digest }
  if (!kept || !target) return { caching: { headers, slot } }
  if (decision) decision.kept = { target: target.id, costNanoUsd: kept.costNanoUsd }
  return { hit: { headers, kept, target } }
}

/** `native`: the same answer in the words of its own wire, where its caller got these. */
type Answer = { slot: CacheSlot; answer: KeptAnswer; native?: Readonly<Record<string, unknown>> | undefined }

/** Keeps an answer for the next who ask, if it may stand for theirs; for after the reply. */
export async function keepIfWhole(ctx: Ctx, asked: Asked, { slot, answer, native }: Answer): Promise<void> {
  const { completion } = answer
  if (!isWhole(completion) || (asked.translation?.native && !isTranslatable(completion, native))) return
  await keepAnswer(ctx, slot, answer, { keyId: ctx.admission.policy.keyId, askedModel: asked.wanted.model })
}

/** What makes something happen, was held back, or is there for an hour only. */
const PASSING = ['tool_calls', 'function_call', 'refusal', 'audio', 'images'] as const

/** Every choice came to its end by itself, and is nothing but said. */
const isWhole = ({ choices }: ChatCompletion): boolean =>
  choices.length > 0 &&
  choices.every(({ finish_reason, message }) => {
    const { content } = message
    const isSaid = typeof content === 'string' && content !== ''
    return finish_reason === 'stop' && isSaid && PASSING.every((field) => isEmpty(message[field]))
  })

/** What only its own wire can say, such as what is cited where, would be missing from what is told again. */
function isTranslatable({ choices }: ChatCompletion, native: Answer['native']): boolean {
  const blocks: unknown[] = Array.isArray(native?.content) ? native.content : []
  if (!blocks.every(isUncited)) return false
  return choices.every(
    ({ message, native_finish_reason: reason }) =>
      isEmpty(message.annotations) && (isEmpty(reason) || reason === 'end_turn'),
  )
}

const isUncited = (block: unknown): boolean =>
  typeof block === 'object' && block !== null && (!('citations' in block) || isEmpty(block.citations))

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0)

import type { Policy } from '../../core/admission.ts'
import type { CacheScope } from '../../core/routing.ts'
import { type CacheOptions, DEFAULT_TTL_SECONDS } from './schema.ts'

/** How a call uses the cache. `subject` is who shares its answer: a key, a person, or an organisation. */
export type CacheUse = { ttlSeconds: number; scope: CacheScope; subject: string; tags: readonly string[] }

/** What of a request decides whether its answer may stand for another. */
export type Repeatability = {
  /** Undefined where the caller left it to the model. */
  temperature: number | undefined
  /** It tells of what tools did, or has its vendor look things up: the same words may want another answer later. */
  hasEffects: boolean
}

/** Above this answers to the same question are meant to differ. */
const MAX_TEMPERATURE = 0.3

type Caller = Pick<Policy, 'orgId' | 'keyId' | 'userId' | 'routing'>

/** Whether anybody has asked for the cache at all: most calls need to know nothing more of it. */
export const wantsCache = ({ routing }: Pick<Policy, 'routing'>, options: CacheOptions | undefined): boolean =>
  (options?.mode ?? routing?.cache?.mode ?? 'off') === 'exact'

/**
 * What a call that wants the cache gets of it; undefined where it goes past it. What a request says comes before its
 * routing policy. Whoever asks for the cache in the request means it also where the temperature is left to the model,
 * which is 1 for most; a policy alone does not mean such calls. Where a policy tries out who answers, every call has to be
 * answered anew.
 */
export function cacheUse(
  policy: Caller,
  options: CacheOptions = {},
  { temperature, hasEffects }: Repeatability,
): CacheUse | undefined {
  const rule = policy.routing?.cache
  const mayVary = temperature === undefined ? options.mode !== 'exact' : temperature > MAX_TEMPERATURE
  if (options.no_store || hasEffects || triesOut(policy) || (mayVary && !options.force)) return undefined
  return {
    ttlSeconds: options.ttl_seconds ?? rule?.ttlSeconds ?? DEFAULT_TTL_SECONDS,
    ...sharing(policy, options.scope ?? rule?.scope ?? 'key'),
    tags: [...new Set(options.tags)],
  }
}

const triesOut = ({ routing }: Caller): boolean =>
  routing?.experiment !== undefined || routing?.bandit !== undefined || routing?.strategy === 'bandit'

/** A key that nobody made has no person to share with. */
function sharing({ orgId, keyId, userId }: Caller, scope: CacheScope): Pick<CacheUse, 'scope' | 'subject'> {
  if (scope === 'org') return { scope, subject: orgId }
  return scope === 'user' && userId !== undefined ? { scope, subject: userId } : { scope: 'key', subject: keyId }
}

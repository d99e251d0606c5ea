import { Ratelimit } from '@upstash/ratelimit'
import type { Redis as Upstash } from '@upstash/redis/cloudflare'
import { DependencyError } from '../core/errors.ts'
import type { Limiter, LimitName } from '../core/limiter.ts'

const rules: Record<LimitName, ReturnType<typeof Ratelimit.tokenBucket>> = {
  key_lookups_per_ip: Ratelimit.tokenBucket(60, '60 s', 70),
}

/** Limits by address or name, kept by `@upstash/ratelimit`; its own "allow after a timeout" is off: the caller decides. */
export function createLimiter(client: Upstash): Limiter {
  const limits = new Map<LimitName, Ratelimit>()
  const limitOf = (name: LimitName): Ratelimit => {
    const known =
      limits.get(name) ??
      new Ratelimit({ redis: client, limiter: rules[name], prefix: `limit:${name}`, ephemeralCache: false, timeout: 0 })
    limits.set(name, known)
    return known
  }
  return {
    async allows(name, subject) {
      try {
        return (await limitOf(name).getRemaining(subject)).remaining > 0
      } catch (error) {
        throw new DependencyError('redis', error)
      }
    },

    async take(name, subject) {
      try {
        const { success, reset } = await limitOf(name).limit(subject)
        return { allowed: success, retryAfterSeconds: Math.max(1, Math.ceil((reset - Date.now()) / 1000)) }
      } catch (error) {
        throw new DependencyError('redis', error)
      }
    },
  }
}

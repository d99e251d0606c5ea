import type { Ratelimit } from '@upstash/ratelimit'
import { DependencyError } from '../core/errors.ts'
import type { Limiter, LimitName } from '../core/limiter.ts'
import type { UpstashClient } from './upstash.ts'

/** Refilled in a minute, and the most at once. */
const rules: Record<LimitName, { perMinute: number; burst: number }> = {
  key_lookups_per_ip: { perMinute: 60, burst: 70 },
}

/** Limits by address or name, kept by `@upstash/ratelimit`; its own "allow after a timeout" is off: the caller decides. */
export function createLimiter(clientOf: UpstashClient): Limiter {
  const limits = new Map<LimitName, Ratelimit>()
  const limitOf = async (name: LimitName): Promise<Ratelimit> => {
    const known = limits.get(name)
    if (known) return known
    // Loaded by the first caller whom it concerns: known keys are limited elsewhere.
    const { Ratelimit } = await import('@upstash/ratelimit')
    const { perMinute, burst } = rules[name]
    const limiter = Ratelimit.tokenBucket(perMinute, '60 s', burst)
    const made = new Ratelimit({
      redis: await clientOf(),
      limiter,
      prefix: `limit:${name}`,
      ephemeralCache: false,
      timeout: 0,
    })
    limits.set(name, made)
    return made
  }
  return {
    async allows(name, subject) {
      try {
        return (await (await limitOf(name)).getRemaining(subject)).remaining > 0
      } catch (error) {
        throw new DependencyError('redis', error)
      }
    },

    async take(name, subject) {
      try {
        const { success, reset } = await (await limitOf(name)).limit(subject)
        return { allowed: success, retryAfterSeconds: Math.max(1, Math.ceil((reset - Date.now()) / 1000)) }
      } catch (error) {
        throw new DependencyError('redis', error)
      }
    },
  }
}

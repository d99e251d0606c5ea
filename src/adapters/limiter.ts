import type { Ratelimit } from '@upstash/ratelimit'
import { DependencyError } from '../core/errors.ts'
import type { Limiter, LimitName } from '../core/limiter.ts'
import type { UpstashClient } from './upstash.ts'

type Rule = {
  /** So many come back every so many seconds, and there are never more than `burst`. */
  refill: number
  everySeconds: number
  burst: number
  /** Whoever asks for more than there are waits this long. Without it: until the next come back. */
  blockSeconds?: number
}

const MINUTE = 60
const HOUR = 3600

const rules: Record<LimitName, Rule> = {
  key_lookups_per_ip: { refill: 60, everySeconds: MINUTE, burst: 70 },
  logins_per_ip: { refill: 1, everySeconds: 12, burst: 3 },
  logins_per_ip_and_name: { refill: 5, everySeconds: 5 * MINUTE, burst: 5, blockSeconds: 15 * MINUTE },
  registrations_per_ip: { refill: 5, everySeconds: HOUR, burst: 5 },
  orgs_per_user: { refill: 5, everySeconds: HOUR, burst: 5 },
  resets_per_ip: { refill: 5, everySeconds: HOUR, burst: 5 },
  verifications_per_ip: { refill: 30, everySeconds: HOUR, burst: 30 },
  bootstraps_per_ip: { refill: 5, everySeconds: HOUR, burst: 5 },
  exchanges_per_ip: { refill: 60, everySeconds: MINUTE, burst: 60 },
  mails_per_address: { refill: 5, everySeconds: HOUR, burst: 5 },
  refreshes_per_session: { refill: 30, everySeconds: MINUTE, burst: 30 },
  password_checks_per_user: { refill: 5, everySeconds: 5 * MINUTE, burst: 5 },
  passwords_set_per_org: { refill: 30, everySeconds: HOUR, burst: 10 },
  invitations_per_org: { refill: 100, everySeconds: HOUR, burst: 100 },
  key_creations_per_caller: { refill: 60, everySeconds: HOUR, burst: 60 },
  reveals_per_caller: { refill: 10, everySeconds: HOUR, burst: 10 },
}

/**
 * Limits by address or name, kept by `@upstash/ratelimit`; its own "allow after a timeout" is off: the caller decides.
 *
 * limit:<name>:<subject>        hash    of the token bucket
 * limit:<name>:block:<subject>  string  as long as the subject is blocked
 *
 * Subjects are hashed: neither a name that someone tried nor where they were is in Redis.
 */
export function createLimiter(clientOf: UpstashClient): Limiter {
  const limits = new Map<LimitName, Ratelimit>()
  const refusals = createRefusals()
  const limitOf = async (name: LimitName): Promise<Ratelimit> => {
    const known = limits.get(name)
    if (known) return known
    // Loaded by the first caller whom it concerns: known keys are limited elsewhere.
    const { Ratelimit } = await import('@upstash/ratelimit')
    const { refill, everySeconds, burst } = rules[name]
    const limiter = Ratelimit.tokenBucket(refill, `${everySeconds} s`, burst)
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
  const takeOf: Limiter['take'] = async (name, subject) => {
    const [limit, who, client] = await Promise.all([limitOf(name), hashOf(subject), clientOf()])
    const { blockSeconds } = rules[name]
    const block = blockOf(name, who)
    const blockedMs = blockSeconds === undefined ? 0 : await client.pttl(block)
    if (blockedMs > 0) return { allowed: false, retryAfterSeconds: Math.ceil(blockedMs / 1000) }
    const { success, reset } = await limit.limit(who)
    const waitSeconds = Math.max(1, Math.ceil((reset - Date.now()) / 1000))
    if (success || blockSeconds === undefined) return { allowed: success, retryAfterSeconds: waitSeconds }
    await client.set(block, '1', { ex: blockSeconds })
    return { allowed: false, retryAfterSeconds: blockSeconds }
  }
  return {
    allows: (name, subject) =>
      orAway(async () => {
        const [limit, who] = await Promise.all([limitOf(name), hashOf(subject)])
        return (await limit.getRemaining(who)).remaining > 0
      }),

    take: (name, subject) =>
      orAway(async () => {
        const refusedMs = refusals.of(name, subject) - Date.now()
        if (refusedMs > 0) return { allowed: false, retryAfterSeconds: Math.ceil(refusedMs / 1000) }
        const answer = await takeOf(name, subject)
        if (!answer.allowed) refusals.remember(name, subject, Date.now() + answer.retryAfterSeconds * 1000)
        return answer
      }),
    reset: (name, subject) =>
      orAway(async () => {
        refusals.forget(name, subject)
        const [who, client] = await Promise.all([hashOf(subject), clientOf()])
        // The library's own reset scans every key there is; a token bucket is one key.
        await client.del(`limit:${name}:${who}`, blockOf(name, who))
      }),
  }
}

const MAX_REFUSALS = 10_000

/** Whoever was refused is refused until the time that they were told, without asking Redis: a flood costs it nothing. */
function createRefusals() {
  const untilMs = new Map<string, number>()
  const keyOf = (name: LimitName, subject: string) => `${name} ${subject}`
  return {
    /** Unix milliseconds; 0 for someone who was not refused. */
    of: (name: LimitName, subject: string): number => untilMs.get(keyOf(name, subject)) ?? 0,
    remember(name: LimitName, subject: string, ms: number): void {
      if (untilMs.size >= MAX_REFUSALS) untilMs.clear()
      untilMs.set(keyOf(name, subject), ms)
    },
    forget(name: LimitName, subject: string): void {
      untilMs.delete(keyOf(name, subject))
    },
  }
}

const blockOf = (name: LimitName, who: string): string => `limit:${name}:block:${who}`

async function hashOf(subject: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(subject))
  return Buffer.from(digest).toString('base64url').slice(0, 22)
}

async function orAway<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new DependencyError('redis', error)
  }
}

import type { Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { RedisScript } from '../../core/redis.ts'

/**
 * What admission knows of a credential is a record in Redis, one for each API key and session. A change in Postgres that
 * a record was made from marks it as changed, so that the next call loads it again.
 *
 * key:<hash>  an API key, by the HMAC of the whole key
 * ses:<id>    a session
 *
 * Each is a hash: v = policy version (or a mark), p = policy as JSON, at = when Postgres was asked for it, due = from
 * when on a call has to ask Postgres again; both in Unix ms.
 */
export const recordKeys = {
  key: (hash: string) => `key:${hash}`,
  session: (id: string) => `ses:${id}`,
}

/** `v` of a credential that is known not to exist or not to be valid. */
export const REFUSED = 'refused'
const REFUSED_SECONDS = 30
/** How long a record outlives Postgres. */
const RECORD_SECONDS = 300
/**
 * How old a record may grow before it is compared with Postgres: with the time that takes, a change that nobody marked
 * (made by SQL, or while Redis was away) is seen within a minute.
 */
const CONFIRM_AFTER_MS = 50_000

/** `v` of a record that must be read again begins with this; the rest tells one change from another. */
export const CHANGED = 'changed:'
/** Longer than any look-up that began before the change can still be on its way with what it read. */
const CHANGED_SECONDS = 60

/** A record as it was when somebody set out to load it: absent, or its version and the time it was read. */
export type Seen = { version: string; atMs: string } | undefined

/**
 * Writes a record only over the one that was seen: whoever read Postgres before a change cannot cover its mark, nor
 * what was read after it.
 *
 * KEYS  1 record
 * ARGV  seen version ('' for none) · seen time · v · p · at · due · seconds to live
 */
export const rememberScript: RedisScript = {
  text: `local seen = redis.call('HMGET', KEYS[1], 'v', 'at')
if (seen[1] or '') ~= ARGV[1] or (seen[1] and (seen[2] or '') ~= ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'v', ARGV[3], 'p', ARGV[4], 'at', ARGV[5], 'due', ARGV[6])
redis.call('EXPIRE', KEYS[1], ARGV[7])
return 1`,
}

type Remembered = {
  record: string
  seen: Seen
  /** What Postgres said; undefined for a credential that is not valid. */
  policy: Policy | undefined
  /** Before Postgres was asked. */
  askedMs: number
}

/** Writes what Postgres said where every isolate's admission finds it. Redis being away loses nothing. */
export async function remember(
  { redis, log }: Pick<Deps, 'redis' | 'log'>,
  { record, seen, policy, askedMs }: Remembered,
): Promise<void> {
  const now = policy
    ? [policy.version, JSON.stringify(policy), askedMs, askedMs + CONFIRM_AFTER_MS, RECORD_SECONDS]
    : [REFUSED, '', askedMs, askedMs + CONFIRM_AFTER_MS, REFUSED_SECONDS]
  try {
    await redis.run(rememberScript, [record], [seen?.version ?? '', seen?.atMs ?? '', ...now])
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    log.warn('record_not_written', { dependency: error.dependency })
  }
}

/**
 * Has the next call of these credentials read Postgres again. To be called after the change is committed. Without Redis
 * nothing is lost: what an isolate or a record knows is confirmed at least once a minute anyway.
 */
export async function markChanged(
  { redis, log, newId }: Pick<Deps, 'redis' | 'log' | 'newId'>,
  keys: readonly string[],
): Promise<void> {
  if (keys.length === 0) return
  const mark = `${CHANGED}${newId('chg')}`
  try {
    await redis.pipeline(
      keys.flatMap((key) => [
        ['HSET', key, { v: mark, p: '', at: '0', due: '0' }] as const,
        ['EXPIRE', key, CHANGED_SECONDS] as const,
      ]),
    )
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    log.warn('records_not_marked', { records: keys.length, dependency: error.dependency })
  }
}

import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'

/**
 * What admission knows of a credential is a record in Redis, one for each API key and session. A change in Postgres that
 * a record was made from marks it as changed, so that the next call loads it again.
 *
 * key:<hash>  an API key, by the HMAC of the whole key
 * ses:<id>    a session
 *
 * Each is a hash: v = policy version (or a mark), p = policy as JSON, at = when it was read from Postgres, Unix ms.
 */
export const recordKeys = {
  key: (hash: string) => `key:${hash}`,
  session: (id: string) => `ses:${id}`,
}

/** `v` of a record that must be read again begins with this; the rest tells one change from another. */
export const CHANGED = 'changed:'
/** Longer than any look-up that began before the change can still be on its way with what it read. */
const CHANGED_SECONDS = 60

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
        ['HSET', key, { v: mark, p: '', at: '0' }] as const,
        ['EXPIRE', key, CHANGED_SECONDS] as const,
      ]),
    )
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    log.warn('records_not_marked', { records: keys.length, dependency: error.dependency })
  }
}

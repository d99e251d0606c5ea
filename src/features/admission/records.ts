import type { Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { AppError, DependencyError } from '../../core/errors.ts'
import { findKey } from '../keys/service.ts'
import { RECORD_TTL_SECONDS, REFUSED, REFUSED_TTL_SECONDS, redisKeys } from './keys.ts'

const LOOKUPS = 'key_lookups_per_ip'

/** The policy behind a key's hash, from Postgres. Throws `DependencyError('postgres')`: no answer is not a bad key. */
export async function loadPolicy(deps: Deps, hash: string): Promise<Policy | undefined> {
  const key = await findKey(deps, hash)
  if (!key?.live) return undefined
  const { compilePolicy } = await import('../policies/service.ts')
  return compilePolicy(deps, key)
}

/** Writes what Postgres said where every isolate's admission will find it. Redis being away loses nothing. */
export async function rememberPolicy(deps: Deps, hash: string, policy: Policy | undefined): Promise<void> {
  const key = redisKeys.key(hash)
  try {
    await deps.redis.pipeline(
      policy
        ? [
            ['HSET', key, { v: policy.version, p: JSON.stringify(policy) }],
            ['EXPIRE', key, RECORD_TTL_SECONDS],
          ]
        : [
            ['HSET', key, { v: REFUSED, p: '' }],
            ['EXPIRE', key, REFUSED_TTL_SECONDS],
          ],
    )
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    deps.log.warn('key_record_not_written', { dependency: error.dependency })
  }
}

/**
 * Guards Postgres against an address that tries keys: only keys that do not exist count. Open while Redis is away:
 * the look-up itself gives nothing away.
 */
export async function refuseGuessing({ limiter }: Deps, ip: string): Promise<void> {
  if (await unlessAway(limiter.allows(LOOKUPS, ip), true)) return
  throw new AppError('rate_limit_exceeded', 'Too many unknown keys from this address.', { retryAfterSeconds: 1 })
}

export async function countGuess({ limiter }: Deps, ip: string): Promise<void> {
  await unlessAway(limiter.take(LOOKUPS, ip), undefined)
}

async function unlessAway<T>(answer: Promise<T>, otherwise: T | undefined): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    return otherwise
  }
}

import { secondsOf } from '../../core/clock.ts'
import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { PublishedKey } from '../../core/memory.ts'
import { importKey } from './jws.ts'
import { readPublished, type SigningRow } from './store.ts'

export type RingDeps = Pick<Deps, 'db' | 'memory' | 'now' | 'log'>

/** With one try lost on the way, a revoked key is still gone everywhere within a minute. */
const FRESH_MS = 50_000
/** A new installation has no key until somebody signs in. */
const EMPTY_MS = 1_000
const RETRY_MS = 5_000
/** Tokens that name keys of their own invention cost Postgres no more than this. */
const SEEK_MS = 30_000

/**
 * Notes what Postgres said when it was asked at that time, unless a later answer is known. Keys that are known already
 * are not imported again.
 */
export async function remember(
  { memory }: Pick<Deps, 'memory'>,
  rows: readonly SigningRow[],
  askedMs: number,
): Promise<void> {
  const { byKid } = memory.signingKeys
  const keys = await Promise.all(
    rows.map(async ({ kid, public_jwk: jwk, not_after: notAfter }): Promise<PublishedKey> => {
      const key = byKid.get(kid)?.key ?? (await importKey(jwk))
      return { kid, jwk, key, notAfter }
    }),
  )
  if (memory.signingKeys.readMs > askedMs) return
  memory.signingKeys.byKid = new Map(keys.map((key) => [key.kid, key]))
  memory.signingKeys.readMs = askedMs
  memory.signingKeys.isBehind = false
}

async function reload(deps: RingDeps): Promise<void> {
  const ring = deps.memory.signingKeys
  const askedMs = deps.now()
  ring.triedMs = askedMs
  try {
    await remember(deps, await readPublished(deps), askedMs)
  } catch (error) {
    ring.isBehind = true
    throw error
  }
}

/**
 * Sees to it that the keys are not older than a minute, or are those we have while Postgres is away; throws when there
 * are none. Whether Postgres has just answered.
 */
async function freshen(deps: RingDeps): Promise<boolean> {
  const ring = deps.memory.signingKeys
  const now = deps.now()
  const hasKeys = ring.byKid.size > 0
  if (now - ring.readMs < (hasKeys ? FRESH_MS : EMPTY_MS)) return false
  // While one request asks, and for a while after it had no answer, the others go on with what is known.
  if (hasKeys && now - ring.triedMs < RETRY_MS) return false
  try {
    await reload(deps)
    return true
  } catch (error) {
    if (!hasKeys || !(error instanceof DependencyError)) throw error
    deps.log.warn('signing_keys_not_read', { dependency: error.dependency })
    return false
  }
}

const isUsable = ({ notAfter }: PublishedKey, now: number): boolean => notAfter === null || now < notAfter

/** All keys whose signatures count. Throws `DependencyError('postgres')` when it cannot know any. */
export async function publishedKeys(deps: RingDeps): Promise<PublishedKey[]> {
  await freshen(deps)
  const now = secondsOf(deps.now())
  return [...deps.memory.signingKeys.byKid.values()].filter((key) => isUsable(key, now))
}

/**
 * The key of that name whose signatures count. One that nobody knows yet may have been made a moment ago, so it is
 * looked for once in a while. Throws `DependencyError('postgres')` when it cannot know.
 */
export async function findPublishedKey(deps: RingDeps, kid: string): Promise<PublishedKey | undefined> {
  const ring = deps.memory.signingKeys
  const now = deps.now()
  const isNew = await freshen(deps)
  if (!ring.byKid.has(kid) && !isNew && now - ring.soughtMs >= SEEK_MS) {
    ring.soughtMs = now
    await reload(deps)
  }
  const key = ring.byKid.get(kid)
  if (!key && ring.isBehind) throw new DependencyError('postgres', new Error('the signing keys could not be read'))
  return key && isUsable(key, secondsOf(deps.now())) ? key : undefined
}

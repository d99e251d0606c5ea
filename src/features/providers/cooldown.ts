import type { AccountCredential, AccountSpec } from '../../core/accounts.ts'
import type { Deps } from '../../core/context.ts'
import type { UpstreamError } from '../../core/models.ts'
import { blameOf } from './blame.ts'

/** A refused credential does not become good by itself within a call or two; somebody has to see to it. */
const COOLDOWN_MS = 300_000
/** Limits are counted by the minute where nobody says otherwise. */
const BUSY_MS = 60_000
/** One that may not use a model: for as long as it takes to ask another, since it may use the others. */
const PASSED_OVER_MS = 5000
/** A provider that wants to be asked again this soon is. */
const SOON_MS = 2000
const MOST_REMEMBERED = 1000

type World = Pick<Deps, 'memory' | 'now'>

/**
 * Until when a credential is not used, Unix ms; undefined when it may be used now. What this isolate saw itself holds
 * until a change of the credential says otherwise.
 */
export function coolUntilMs({ memory, now }: World, credential: AccountCredential): number | undefined {
  const seen = memory.cooldowns.get(credential.id)
  const told = (credential.cooldownUntil ?? 0) * 1000
  const isOutdated = seen === undefined || credential.updatedAt * 1000 > seen.notedMs
  const untilMs = isOutdated ? told : Math.max(told, seen.untilMs)
  return untilMs > now() ? untilMs : undefined
}

export const usableOf = (world: World, { credentials }: Pick<AccountSpec, 'credentials'>): AccountCredential[] =>
  credentials.filter((credential) => coolUntilMs(world, credential) === undefined)

/**
 * For how long the credential that a call failed with is put aside; undefined when it stays in use. One that is refused
 * or out of credit always is; one that is only asked too often, or for a model that is not its to use, where another can
 * do its work: callers can bring both about, and must not close an account for everybody.
 */
export function cooldownMs(error: UpstreamError, hasAnother: boolean): number | undefined {
  const { status, retryAfterMs, fault } = error
  const blame = blameOf(error)
  if (blame === 'credential') return COOLDOWN_MS
  if (blame === 'model') return hasAnother ? PASSED_OVER_MS : undefined
  if (fault !== 'status' && fault !== 'reported') return undefined
  if (status !== 429 || !hasAnother || (retryAfterMs !== undefined && retryAfterMs <= SOON_MS)) return undefined
  return Math.min(COOLDOWN_MS, retryAfterMs ?? BUSY_MS)
}

export function noteCooldown({ memory, now }: World, credentialId: string, untilMs: number): void {
  const { cooldowns } = memory
  cooldowns.delete(credentialId)
  for (const [oldest] of cooldowns) {
    if (cooldowns.size < MOST_REMEMBERED) break
    cooldowns.delete(oldest)
  }
  cooldowns.set(credentialId, { untilMs, notedMs: now() })
}

import type { AdmissionRequest, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import { within } from '../../core/within.ts'
import { hashKey, parseKey } from '../keys/service.ts'
import { recordKeys } from '../records/service.ts'
import { type AccessClaims, looksLikeAccessToken, verifyAccessToken } from '../signing/service.ts'
import { invalidCredential, missingCredential } from './refusals.ts'

const MAX_REMEMBERED = 10_000
/** A signing key may be revoked: what it signed is verified again with keys that are not older than this. */
const KEYS_FRESH_MS = 50_000
/** Not more often than this, also while the keys cannot be read. */
const VERIFY_STEP_MS = 5000
const VERIFY_TIMEOUT_MS = 1500

/** What a credential points to: an API key by its hash, or the session that an access token names. */
export type Pointer = { kind: 'api_key'; hash: string } | { kind: 'session'; claims: AccessClaims }

/** What this isolate knows of a credential. Requests share it, so each works with the policy that it read itself. */
export type Known = {
  points: Pointer
  /** Its record in Redis. */
  record: string
  policy: Policy | undefined
  /** When Postgres was last asked for that policy, by whichever isolate. */
  confirmedMs: number
  /** When a token was last verified. */
  verifiedMs: number
  /** Since when one of the requests has been loading it from Postgres. */
  loadingSinceMs: number | undefined
  /** When Postgres last failed to tell, and how; undefined once it told. */
  failed: { atMs: number; cause: unknown } | undefined
}

/**
 * A credential as this isolate knows it, or a fresh entry for one it has not seen.
 * Throws 401 without asking a store, and 503 when a token cannot be verified now.
 */
export async function recognise(
  deps: Deps,
  known: Map<string, Known>,
  { credential, defer }: Pick<AdmissionRequest, 'credential' | 'defer'>,
): Promise<Known> {
  if (credential === undefined) throw missingCredential()
  const entry = known.get(credential) ?? remembered(deps, known, credential, await pointerOf(deps, credential))
  if (entry.points.kind === 'api_key') return entry
  const isGood =
    entry.points.claims.exp * 1000 > deps.now() && (await isStillSigned(deps, entry, { credential, defer }))
  if (isGood) return entry
  known.delete(credential)
  throw invalidCredential()
}

async function pointerOf(deps: Deps, credential: string): Promise<Pointer> {
  if (parseKey(credential)) return { kind: 'api_key', hash: await hashKey(deps.settings.keyPepper, credential) }
  const claims = looksLikeAccessToken(credential) ? await verifyAccessToken(deps, credential) : undefined
  if (!claims) throw invalidCredential()
  return { kind: 'session', claims }
}

/** The entry of a credential that nobody remembers; the oldest one makes room for it. */
function remembered({ now }: Deps, known: Map<string, Known>, credential: string, points: Pointer): Known {
  const sooner = known.get(credential)
  if (sooner) return sooner
  const record = points.kind === 'api_key' ? recordKeys.key(points.hash) : recordKeys.session(points.claims.sid)
  const entry: Known = {
    points,
    record,
    policy: undefined,
    confirmedMs: 0,
    verifiedMs: now(),
    loadingSinceMs: undefined,
    failed: undefined,
  }
  if (known.size >= MAX_REMEMBERED) {
    const [oldest] = known.keys()
    if (oldest !== undefined) known.delete(oldest)
  }
  known.set(credential, entry)
  return entry
}

/** A token that was good is good, unless the keys that were read since say otherwise; no answer says nothing. */
async function isStillSigned(
  deps: Deps,
  entry: Known,
  { credential, defer }: { credential: string; defer: AdmissionRequest['defer'] },
): Promise<boolean> {
  const nowMs = deps.now()
  const { readMs } = deps.memory.signingKeys
  if (nowMs - entry.verifiedMs < VERIFY_STEP_MS) return true
  if (nowMs - readMs < KEYS_FRESH_MS && readMs < entry.verifiedMs) return true
  entry.verifiedMs = nowMs
  const verifying = verifyAccessToken(deps, credential).then(
    (claims) => claims !== undefined,
    (error: unknown) => {
      if (error instanceof DependencyError) return undefined
      throw error
    },
  )
  defer(verifying)
  return (await within(verifying, VERIFY_TIMEOUT_MS)) ?? true
}

/** Whether a policy is of those whom the credential names: what a token claims must be what its session is. */
export function isPolicyOf({ orgId, userId, kind }: Policy, points: Pointer): boolean {
  if (points.kind === 'api_key') return kind === 'api_key'
  const { org, sub, aud } = points.claims
  return orgId === org && userId === sub && kind === (aud === 'helix-admin' ? 'operator' : 'user')
}

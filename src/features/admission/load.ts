import type { AdmissionRequest, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { AppError, DependencyError } from '../../core/errors.ts'
import { networkOf } from '../../core/ip-rules.ts'
import { within } from '../../core/within.ts'
import { findKey } from '../keys/service.ts'
import { REFUSED, remember, type Seen } from '../records/service.ts'
import { isPolicyOf, type Known, type Pointer } from './recognise.ts'
import { invalidCredential } from './refusals.ts'
import type { ScriptReply } from './script-call.ts'

/** A request that loads a credential and is cut off tells nobody: after this long another one loads it. */
const LONGEST_LOAD_MS = 3000
const LOOK_AGAIN_MS = 10
/** Postgres has just failed to tell: for so long nobody asks it for the same credential again. */
const FAILED_MS = 1000
/** How long a call waits to have a record confirmed that would also do as it is. */
const CONFIRM_TIMEOUT_MS = 1500
const LOOKUPS = 'key_lookups_per_ip'

/** Redis knew nothing that this isolate can use: a question to answer before it is asked again. */
export type Unusable = Extract<ScriptReply, { kind: 'no_record' | 'other_version' | 'due' }>

/**
 * The policy behind a credential, from Postgres; undefined when it is not valid.
 * Throws `DependencyError('postgres')`: no answer is not a bad credential.
 */
export async function loadPolicy(deps: Deps, points: Pointer): Promise<Policy | undefined> {
  const subject = await findSubject(deps, points)
  if (!subject) return undefined
  const { compilePolicy } = await import('../policies/service.ts')
  return compilePolicy(deps, subject)
}

async function findSubject(deps: Deps, points: Pointer) {
  if (points.kind === 'api_key') {
    const key = await findKey(deps, points.hash)
    return key?.live ? key : undefined
  }
  const { findSession } = await import('../sessions/service.ts')
  return findSession(deps, points.claims.org, points.claims.sid)
}

/** Takes in what Redis or Postgres knows newer. Throws 401, and 503 when only Postgres could know and does not answer. */
export async function refresh(deps: Deps, request: AdmissionRequest, entry: Known, reply: Unusable): Promise<void> {
  switch (reply.kind) {
    case 'due':
      return confirm(deps, request, entry, reply)
    case 'no_record':
      return load(deps, request, entry, undefined)
    case 'other_version':
      if (reply.version === REFUSED) return adopt(entry, undefined, deps.now())
      return adoptOrLoad(deps, request, entry, reply)
  }
}

/** A record that is marked, or that an earlier release wrote with limits of another form, is as good as none. */
async function adoptOrLoad(
  deps: Deps,
  request: AdmissionRequest,
  entry: Known,
  reply: Extract<ScriptReply, { kind: 'other_version' }>,
): Promise<void> {
  const policy: Policy | undefined = reply.policy ? JSON.parse(reply.policy) : undefined
  if (policy?.limits.every(({ mode }) => mode !== undefined)) return adopt(entry, policy, Number(reply.atMs))
  return load(deps, request, entry, reply)
}

/** From now on the credential has this policy. Throws 401 when it has none, or is not what its token claims. */
export function adopt(entry: Known, policy: Policy | undefined, confirmedMs: number): void {
  entry.policy = policy && isPolicyOf(policy, entry.points) ? policy : undefined
  entry.confirmedMs = confirmedMs
  if (!entry.policy) throw invalidCredential()
}

async function load(deps: Deps, request: AdmissionRequest, entry: Known, seen: Seen): Promise<void> {
  if (await isLoadedByAnother(entry)) return
  await loadOnce(deps, entry, async () => {
    if (entry.points.kind === 'api_key') await refuseGuessing(deps, request.ip)
    const askedMs = deps.now()
    const policy = await loadPolicy(deps, entry.points)
    if (!policy && entry.points.kind === 'api_key') await countGuess(deps, request.ip)
    await remember(deps, { record: entry.record, seen, policy, askedMs })
    adopt(entry, policy, askedMs)
  })
}

/**
 * The credential's policy from Postgres alone, for an isolate that no longer trusts what it knows. Of a crowd one asks:
 * while Redis is slow everybody comes this way, and Postgres must not break down under it, too. Throws as `load`.
 */
export async function loadAlone(deps: Deps, entry: Known, isTrusted: () => boolean): Promise<void> {
  if ((await isLoadedByAnother(entry)) && isTrusted()) return
  await loadOnce(deps, entry, async () => {
    const askedMs = deps.now()
    adopt(entry, await loadPolicy(deps, entry.points), askedMs)
  })
}

/** Marks the credential as being loaded; a failure of Postgres is everybody's for a second. */
async function loadOnce(deps: Pick<Deps, 'now'>, entry: Known, loading: () => Promise<void>): Promise<void> {
  const { failed } = entry
  if (failed && deps.now() - failed.atMs < FAILED_MS) throw new DependencyError('postgres', failed.cause)
  entry.loadingSinceMs = Date.now()
  try {
    await loading()
    entry.failed = undefined
  } catch (error) {
    if (error instanceof DependencyError && error.dependency === 'postgres') {
      entry.failed = { atMs: deps.now(), cause: error.cause }
    }
    throw error
  } finally {
    entry.loadingSinceMs = undefined
  }
}

/**
 * A record has come of age, and this caller is the one who compares it with Postgres. One who does not hear from
 * Postgres in time goes on with what there is; a late answer still reaches the record.
 */
async function confirm(
  deps: Deps,
  request: AdmissionRequest,
  entry: Known,
  { version, atMs }: { version: string; atMs: string },
): Promise<void> {
  const askedMs = deps.now()
  const asking = async (): Promise<{ policy: Policy | undefined } | undefined> => {
    try {
      const policy = await loadPolicy(deps, entry.points)
      await remember(deps, { record: entry.record, seen: { version, atMs }, policy, askedMs })
      return { policy }
    } catch (error) {
      if (!(error instanceof DependencyError)) throw error
      deps.log.warn('record_not_confirmed', { dependency: error.dependency })
      return undefined
    }
  }
  const asked = asking()
  request.defer(asked)
  const answer = await within(asked, CONFIRM_TIMEOUT_MS)
  if (answer) adopt(entry, answer.policy, askedMs)
}

/**
 * Many callers with one cold credential are one look-up. Requests cannot wait for each other's promises here, so they
 * look again until whoever loads it is done; then Redis has the answer. False when nobody is loading it.
 */
async function isLoadedByAnother(entry: Known): Promise<boolean> {
  if (entry.loadingSinceMs === undefined) return false
  while (entry.loadingSinceMs !== undefined) {
    if (Date.now() - entry.loadingSinceMs > LONGEST_LOAD_MS) return false
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS))
  }
  return true
}

/**
 * Guards Postgres against an address that tries keys: only keys that do not exist count. Open while Redis is away:
 * the look-up itself gives nothing away.
 */
async function refuseGuessing({ limiter }: Deps, ip: string): Promise<void> {
  if (await unlessAway(limiter.allows(LOOKUPS, networkOf(ip)), true)) return
  throw new AppError('rate_limit_exceeded', 'Too many unknown keys from this address.', { retryAfterSeconds: 1 })
}

async function countGuess({ limiter }: Deps, ip: string): Promise<void> {
  await unlessAway(limiter.take(LOOKUPS, networkOf(ip)), undefined)
}

async function unlessAway<T>(answer: Promise<T>, otherwise: T | undefined): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    return otherwise
  }
}

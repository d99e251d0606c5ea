import type { AdmissionRequest, Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { hashKey, parseKey } from '../keys/service.ts'
import { REFUSED } from './keys.ts'
import { countGuess, loadPolicy, refuseGuessing, rememberPolicy } from './records.ts'
import { invalidKey, missingKey } from './refusals.ts'
import type { ScriptReply } from './script.ts'

const MAX_REMEMBERED_KEYS = 10_000
/** A request that loads a key and is cut off tells nobody: after this long another one loads it. */
const LONGEST_LOAD_MS = 3000
const LOOK_AGAIN_MS = 10

/** What this isolate knows of a credential. Requests share it, so each works with the policy that it read itself. */
export type Known = {
  hash: string
  policy: Policy | undefined
  confirmedMs: number
  /** Since when one of the requests has been loading it from Postgres. */
  loadingSinceMs: number | undefined
}

/** A credential as this isolate knows it, or a fresh entry for one it has not seen. Throws 401 without asking a store. */
export async function recognise(deps: Deps, known: Map<string, Known>, credential: string | undefined): Promise<Known> {
  if (credential === undefined) throw missingKey()
  const remembered = known.get(credential)
  if (remembered) return remembered
  if (!parseKey(credential)) throw invalidKey()
  const hash = await hashKey(deps.settings.keyPepper, credential)
  const sooner = known.get(credential)
  if (sooner) return sooner
  const entry: Known = { hash, policy: undefined, confirmedMs: 0, loadingSinceMs: undefined }
  if (known.size >= MAX_REMEMBERED_KEYS) {
    const [oldest] = known.keys()
    if (oldest !== undefined) known.delete(oldest)
  }
  known.set(credential, entry)
  return entry
}

/** Redis did not know the key, or knew a newer policy of it: reads that one. Throws 401, and 503 without Postgres. */
export async function refresh(
  deps: Deps,
  request: AdmissionRequest,
  entry: Known,
  reply: Extract<ScriptReply, { kind: 'no_record' | 'other_version' }>,
): Promise<void> {
  if (reply.kind === 'other_version' && reply.version === REFUSED) {
    entry.policy = undefined
    throw invalidKey()
  }
  if (reply.kind === 'other_version' && reply.policy) {
    entry.policy = JSON.parse(reply.policy)
    entry.confirmedMs = deps.now()
    return
  }
  if (await isLoadedByAnother(entry)) return
  entry.loadingSinceMs = Date.now()
  try {
    await refuseGuessing(deps, request.ip)
    const policy = await loadPolicy(deps, entry.hash)
    if (!policy) await countGuess(deps, request.ip)
    await rememberPolicy(deps, entry.hash, policy)
    entry.policy = policy
    entry.confirmedMs = deps.now()
    if (!policy) throw invalidKey()
  } finally {
    entry.loadingSinceMs = undefined
  }
}

/**
 * Many callers with one cold key are one look-up. Requests cannot wait for each other's promises here, so they look
 * again until whoever loads the key is done; then Redis has the answer. False when nobody is loading it.
 */
async function isLoadedByAnother(entry: Known): Promise<boolean> {
  if (entry.loadingSinceMs === undefined) return false
  while (entry.loadingSinceMs !== undefined) {
    if (Date.now() - entry.loadingSinceMs > LONGEST_LOAD_MS) return false
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS))
  }
  return true
}

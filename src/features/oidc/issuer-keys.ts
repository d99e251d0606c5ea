import type { Deps } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { IssuerKeys } from '../../core/memory.ts'
import { type Algorithm, fits, type PublicJwk } from './algorithms.ts'
import { faultOf, fetchKeys, type KeySource } from './issuer-documents.ts'
import { refused } from './refusal.ts'

/** A key that its issuer has withdrawn is taken no longer than this. */
const FRESH_MS = 10 * 60_000
/** How long an issuer may be away before its keys are forgotten. */
const KEPT_MS = 24 * 3600_000
/** Between two tries, whoever asks: a token can name any key, and an issuer that is down needs no more calls. */
const PAUSE_MS = 30_000
const MAX_ISSUERS = 200
/** Of all together: an organisation may name issuers of its own making, each with a key set as large as may be. */
const MAX_CHARS = 4_000_000

export type KeyDeps = Pick<Deps, 'outbound' | 'memory' | 'log' | 'now'>
export type WantedKey = { algorithm: Algorithm; kid: string | undefined }

/** An organisation that names a key set of its own decides for itself only. */
const nameOf = ({ issuer, jwksUri }: KeySource): string => `${issuer} ${jwksUri ?? ''}`

/**
 * The key of an issuer that a token names. Throws 401 when the issuer has none such, and 503 when that cannot be known:
 * the issuer does not answer, and what is remembered of it is too old or does not hold the key.
 */
export async function findIssuerKey(deps: KeyDeps, source: KeySource, wanted: WantedKey): Promise<PublicJwk> {
  const name = nameOf(source)
  let known = deps.memory.issuerKeys.get(name)
  if (known?.keys === undefined || deps.now() - known.fetchedMs >= FRESH_MS) known = await reload(deps, source)
  let key = pick(deps, known, wanted)
  if (!key) {
    known = await reload(deps, source)
    key = pick(deps, known, wanted)
  }
  if (key) return key
  if (known.isBehind) throw unavailable()
  throw refused('unknown_key')
}

const unavailable = () =>
  new AppError('dependency_unavailable', 'The keys of the issuer of this token cannot be had at the moment.', {
    retryAfterSeconds: PAUSE_MS / 1000,
  })

/** The one key that fits; a token that names none needs an issuer that has only one. */
function pick({ now }: KeyDeps, { keys, fetchedMs }: IssuerKeys, { algorithm, kid }: WantedKey): PublicJwk | undefined {
  if (keys === undefined || now() - fetchedMs >= KEPT_MS) return undefined
  const all: readonly PublicJwk[] = JSON.parse(keys)
  const fitting = all.filter((key) => fits(key, algorithm) && (kid === undefined || key.kid === kid))
  return fitting.length === 1 ? fitting[0] : undefined
}

/** What is known after another try, or without one while the last is too recent. */
async function reload(deps: KeyDeps, source: KeySource): Promise<IssuerKeys> {
  const { memory, now, log } = deps
  const name = nameOf(source)
  const before = memory.issuerKeys.get(name)
  if (before !== undefined && now() - before.triedMs < PAUSE_MS) return before
  const behind = { keys: before?.keys, fetchedMs: before?.fetchedMs ?? 0, triedMs: now(), isBehind: true }
  // Who else asks meanwhile makes do with what there is. The first who ask have nothing, and each of them goes.
  if (before?.keys !== undefined) remember(memory, name, behind)
  try {
    const { keys } = await fetchKeys(deps, source)
    const after = { keys: JSON.stringify(keys), fetchedMs: now(), triedMs: now(), isBehind: false }
    remember(memory, name, after)
    return after
  } catch (error) {
    const fault = faultOf(error)
    if (fault === undefined) throw error
    log.warn('oidc_keys_unavailable', { issuer: source.issuer, fault })
    const failed = { ...behind, triedMs: now() }
    remember(memory, name, failed)
    return failed
  }
}

function remember({ issuerKeys }: Deps['memory'], name: string, known: IssuerKeys): void {
  issuerKeys.delete(name)
  const [oldest] = issuerKeys.keys()
  if (issuerKeys.size >= MAX_ISSUERS && oldest !== undefined) issuerKeys.delete(oldest)
  issuerKeys.set(name, known)
  let chars = [...issuerKeys.values()].reduce((sum, { keys }) => sum + (keys?.length ?? 0), 0)
  for (const [other, { keys }] of issuerKeys) {
    if (chars <= MAX_CHARS) break
    issuerKeys.delete(other)
    chars -= keys?.length ?? 0
  }
}

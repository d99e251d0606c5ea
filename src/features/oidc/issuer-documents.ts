import * as z from 'zod'
import type { Deps } from '../../core/context.ts'
import { OutboundError } from '../../core/outbound.ts'
import { isDeeperThan } from '../../http/json-depth.ts'
import type { PublicJwk } from './algorithms.ts'

const TIMEOUT_MS = 5000
const MAX_DOCUMENT_BYTES = 1024 * 1024
const MAX_DEPTH = 16
export const MAX_KEYS = 100

/** Where an issuer's keys are looked for. */
export type KeySource = { issuer: string; jwksUri: string | undefined }
export type Published = { jwksUri: string; keys: readonly PublicJwk[] }

/** What was wrong with an issuer's documents; its message is safe to show to whoever configured it. */
export class IssuerError extends Error {
  override readonly name = 'IssuerError'
}

/** OpenID Connect Discovery 1.0, 4.2: what of it is needed here. */
const Discovery = z.object({ issuer: z.string(), jwks_uri: z.string().max(2048) })

const KeySet = z.object({ keys: z.array(z.unknown()) })

const part = z.string().max(4096).optional()
const Key = z
  .object({
    kty: z.string(),
    crv: part,
    x: part,
    y: part,
    n: part,
    e: part,
    kid: z.string().min(1).max(512).optional(),
    alg: z.string().max(32).optional(),
    use: z.literal('sig').optional(),
    key_ops: z
      .array(z.string())
      .refine((operations) => operations.includes('verify'))
      .optional(),
  })
  .transform(({ use: _use, key_ops: _operations, ...key }): PublicJwk => key)

/**
 * An issuer's signing keys as it publishes them now. Throws `IssuerError` for documents that are not usable and
 * `OutboundError` when there was no answer or the way there is closed.
 */
export async function fetchKeys({ outbound }: Pick<Deps, 'outbound'>, source: KeySource): Promise<Published> {
  const signal = AbortSignal.timeout(2 * TIMEOUT_MS)
  const jwksUri = source.jwksUri ?? (await discover(outbound, source.issuer, signal))
  const document = KeySet.safeParse(await fetchJson(outbound, { url: jwksUri, what: 'key set', signal }))
  if (!document.success) throw new IssuerError('The key set has no list of keys.')
  if (document.data.keys.length > MAX_KEYS) throw new IssuerError(`The key set has more than ${MAX_KEYS} keys.`)
  const keys = document.data.keys.flatMap((one) => Key.safeParse(one).data ?? [])
  return { jwksUri, keys }
}

async function discover(outbound: Deps['outbound'], issuer: string, signal: AbortSignal): Promise<string> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const document = Discovery.safeParse(await fetchJson(outbound, { url, what: 'discovery document', signal }))
  if (!document.success) throw new IssuerError('The discovery document names no issuer or no key set.')
  // A document about somebody else must not decide whose signature counts (OpenID Connect Discovery 1.0, 4.3).
  if (document.data.issuer !== issuer) throw new IssuerError('The discovery document is about another issuer.')
  return document.data.jwks_uri
}

type Wanted = { url: string; what: string; signal: AbortSignal }

async function fetchJson(outbound: Deps['outbound'], { url, what, signal }: Wanted): Promise<unknown> {
  const response = await outbound({
    url,
    purpose: 'public',
    headers: { accept: 'application/json' },
    headersTimeoutMs: TIMEOUT_MS,
    signal,
  })
  if (response.status !== 200) {
    await response.body?.cancel().catch(() => undefined)
    throw new IssuerError(`The ${what} was answered with status ${response.status}.`)
  }
  const text = await readText(response, what)
  try {
    if (!isDeeperThan(text, MAX_DEPTH)) return JSON.parse(text)
  } catch {
    // Told below.
  }
  throw new IssuerError(`The ${what} is not JSON that can be read.`)
}

async function readText(response: Response, what: string): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > MAX_DOCUMENT_BYTES) throw new IssuerError(`The ${what} is larger than 1 MB.`)
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

/** What to tell of a failure: fixed sentences that name no address. Undefined for a failure of our own. */
export function faultOf(error: unknown): string | undefined {
  if (error instanceof IssuerError) return error.message
  if (!(error instanceof OutboundError)) return undefined
  if (error.fault === 'blocked') return error.message
  if (error.fault === 'unresolved') return 'The host name could not be looked up.'
  if (error.fault === 'connect') return 'No connection could be made.'
  return 'There was no answer in time.'
}

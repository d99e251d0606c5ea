import type { Settings } from '../../core/settings.ts'
import { decrypt, encodeText, encrypt, SealError } from './seal.ts'

/**
 * The key-encryption key never encrypts anything by itself: each purpose has a key of its own, derived from it, so
 * that what was wrapped for one purpose cannot be passed off as another's.
 */
export type Purpose = 'data-key' | 'platform'

/** The key-encryption keys, 32 bytes in base64. Either opens, only the current one closes. */
export type KekSettings = Pick<Settings, 'kekCurrent' | 'kekPrevious'>

/** What a wrapped text is for and which facts it is bound to. */
export type WrapContext = { purpose: Purpose; bound: readonly (string | number)[] }

const KEK_ID_CHARS = 8
const WRAPPED = /^k1\.([0-9a-f]{8})\.([\w-]{16})\.([\w-]{22,})$/

const bytesOf = (kek: string): Uint8Array => new Uint8Array(Buffer.from(kek, 'base64'))

/** Names a key-encryption key and reveals nothing of it. */
export async function kekIdOf(kek: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', Buffer.concat([encodeText('helix/kek-id'), bytesOf(kek)]))
  return Buffer.from(digest).toString('hex').slice(0, KEK_ID_CHARS)
}

/** HKDF-SHA-256 (RFC 5869) without salt, as its input is uniformly random already. */
async function deriveKey(kek: string, purpose: Purpose): Promise<CryptoKey> {
  const material = await crypto.subtle.importKey('raw', bytesOf(kek), 'HKDF', false, ['deriveKey'])
  return crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: encodeText(`helix/${purpose}`) },
    material,
    { name: 'AES-GCM', length: 256 },
    false,
    ['encrypt', 'decrypt'],
  )
}

const boundTo = (kekId: string, { purpose, bound }: WrapContext) => ['helix/wrapped', purpose, kekId, ...bound]

/** `k1.<id of the key-encryption key>.<iv>.<ciphertext and tag>`, both base64url. */
export async function wrap({ kekCurrent }: KekSettings, context: WrapContext, bytes: Uint8Array): Promise<string> {
  const [kekId, key] = await Promise.all([kekIdOf(kekCurrent), deriveKey(kekCurrent, context.purpose)])
  const { iv, body } = await encrypt(key, boundTo(kekId, context), bytes)
  return `k1.${kekId}.${iv}.${body}`
}

/** Throws `SealError` when the text is damaged, of another context, or of a key that is not configured. */
export async function unwrap(keks: KekSettings, context: WrapContext, wrapped: string): Promise<Uint8Array> {
  const [, kekId, iv, body] = WRAPPED.exec(wrapped) ?? []
  if (kekId === undefined || iv === undefined || body === undefined) throw new SealError()
  const key = await deriveKey(await kekWithId(keks, kekId), context.purpose)
  return decrypt(key, boundTo(kekId, context), { iv, body })
}

async function kekWithId({ kekCurrent, kekPrevious }: KekSettings, kekId: string): Promise<string> {
  if ((await kekIdOf(kekCurrent)) === kekId) return kekCurrent
  if (kekPrevious !== undefined && (await kekIdOf(kekPrevious)) === kekId) return kekPrevious
  throw new SealError()
}

/** The id in a wrapped text. Throws `SealError` for any other text. */
export function kekIdIn(wrapped: string): string {
  const [, kekId] = WRAPPED.exec(wrapped) ?? []
  if (kekId === undefined) throw new SealError()
  return kekId
}

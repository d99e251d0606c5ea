import type { Deps } from '../../core/context.ts'

export { parseKey } from './format.ts'

export type KeyRecord = {
  id: string
  orgId: string
  mode: 'live' | 'test'
  scopes: readonly string[]
  allowedModels: readonly string[] | undefined
  expiresAt: number | undefined
  revoked: boolean
}

const encoder = new TextEncoder()

/** HMAC-SHA-256 of a whole key under the pepper, base64url: the only form in which a key is stored or looked up. */
export async function hashKey(pepper: string, key: string): Promise<string> {
  const hmacKey = await crypto.subtle.importKey(
    'raw',
    encoder.encode(pepper),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['sign'],
  )
  const digest = await crypto.subtle.sign('HMAC', hmacKey, encoder.encode(key))
  return Buffer.from(digest).toString('base64url')
}

/** The key behind a hash, with its organisation's state folded in. Throws `DependencyError('postgres')`. */
export async function findKey({ db }: Pick<Deps, 'db'>, hash: string): Promise<KeyRecord | undefined> {
  // Loaded by the first look-up: most isolates find every key in Redis.
  const { sql } = await import('drizzle-orm/sql')
  const [row] = await db.query(sql`select * from find_api_key(${hash})`)
  if (!row) return undefined
  return {
    id: String(row.id),
    orgId: String(row.org_id),
    mode: row.mode === 'live' ? 'live' : 'test',
    scopes: strings(row.scopes),
    allowedModels: row.allowed_models === null ? undefined : strings(row.allowed_models),
    expiresAt: row.expires_at === null ? undefined : Number(row.expires_at),
    revoked: row.revoked_at !== null || row.org_status !== 'active',
  }
}

const strings = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])

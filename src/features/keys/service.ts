import type { Deps } from '../../core/context.ts'
import { isRole, type Role } from '../../core/roles.ts'
import { recordKeys } from '../records/service.ts'

export { parseKey } from './format.ts'

export type KeyRecord = {
  id: string
  orgId: string
  mode: 'live' | 'test'
  scopes: readonly string[]
  /** Who made it and their role in its organisation now; none for a key of the seed script. */
  userId: string | undefined
  role: Role | undefined
  allowedModels: readonly string[] | undefined
  allowedIps: readonly string[] | undefined
  /** Unix seconds. */
  expiresAt: number | undefined
  /** False once the key is revoked, its maker gone or its organisation suspended. */
  live: boolean
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
  const [row] = await db.query(sql`select * from find_key(${hash})`)
  if (!row) return undefined
  return {
    id: String(row.id),
    orgId: String(row.org_id),
    mode: row.mode === 'live' ? 'live' : 'test',
    userId: row.user_id === null ? undefined : String(row.user_id),
    role: isRole(row.role) ? row.role : undefined,
    scopes: strings(row.scopes),
    allowedModels: row.allowed_models === null ? undefined : strings(row.allowed_models),
    allowedIps: row.allowed_ips === null ? undefined : strings(row.allowed_ips),
    expiresAt: row.expires_at === null ? undefined : Number(row.expires_at),
    live: row.is_live === true,
  }
}

/**
 * Records of the keys of an organisation, or of one person in it, to be marked when what their makers may do changes.
 * Throws `DependencyError('postgres')`.
 */
export async function recordsOfKeys(deps: Pick<Deps, 'db'>, orgId: string, userId?: string): Promise<string[]> {
  const { hashesOf } = await import('./rows.ts')
  return (await hashesOf(deps, orgId, userId)).map(recordKeys.key)
}

const strings = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])

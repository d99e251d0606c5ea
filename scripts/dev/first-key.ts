import { secondsOf } from '../../src/core/clock.ts'
import { hashKey } from '../../src/features/keys/service.ts'
import { withDatabase } from '../database.ts'
import { newBootstrapToken } from '../first-operator.ts'
import type { Stores } from '../local/stack.ts'
import { migrate } from '../migrate.ts'
import { defaultScopes, seed } from '../seed.ts'
import type { StateFolder } from './data-folder.ts'

export type Prepared = {
  apiKey: string
  /** Makes the first operator; undefined once there is one. */
  bootstrapToken: string | undefined
}

/**
 * Brings the database up to date and gives what works in it: a key, the remembered one or that of a new organisation,
 * and while nobody is an operator a token that makes one.
 */
export async function prepareDatabase(stores: Stores, pepper: string, folder: StateFolder): Promise<Prepared> {
  const { adminUrl, ownerUrl, databaseUrl: appUrl, systemUrl, proxyUrl } = stores
  await migrate({ adminUrl, ownerUrl, appUrl, systemUrl, proxyUrl })
  const apiKey = await keyIn(stores, pepper, folder)
  return { apiKey, bootstrapToken: await withDatabase({ url: systemUrl, proxyUrl }, newBootstrapToken) }
}

async function keyIn(stores: Stores, pepper: string, folder: StateFolder): Promise<string> {
  const { systemUrl, proxyUrl } = stores
  const remembered = folder.secrets.apiKey
  if (remembered !== undefined && (await isKept(stores, await hashKey(pepper, remembered)))) return remembered
  const { apiKey } = await seed({ systemUrl, proxyUrl, pepper }, { name: 'Local key' })
  await folder.rememberKey(apiKey)
  return apiKey
}

/**
 * Whether a remembered key still works: it means nothing in another database, or under another pepper. It is given what
 * keys that are made today may do beside what it has; Workers that know it see that within a minute.
 */
function isKept({ systemUrl, proxyUrl }: Stores, hash: string): Promise<boolean> {
  return withDatabase({ url: systemUrl, proxyUrl }, async (pool) => {
    const { rows } = await pool.query('select scopes from api_keys where secret_hash = $1 and revoked_at is null', [
      hash,
    ])
    const [row]: { scopes: string[] }[] = rows
    const missing = defaultScopes.filter((scope) => !row?.scopes.includes(scope))
    if (row && missing.length > 0) {
      const grant = 'update api_keys set scopes = scopes || $2, updated_at = $3 where secret_hash = $1'
      await pool.query(grant, [hash, missing, secondsOf(Date.now())])
    }
    return row !== undefined
  })
}

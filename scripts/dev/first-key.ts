import { hashKey } from '../../src/features/keys/service.ts'
import { withDatabase } from '../database.ts'
import type { Stores } from '../local/stack.ts'
import { migrate } from '../migrate.ts'
import { seed } from '../seed.ts'
import type { StateFolder } from './data-folder.ts'

/**
 * Brings the database up to date and gives a key that works in it: the remembered one, or that of a new organisation.
 */
export async function prepareDatabase(stores: Stores, pepper: string, folder: StateFolder): Promise<string> {
  const { adminUrl, ownerUrl, databaseUrl: appUrl, systemUrl, proxyUrl } = stores
  await migrate({ adminUrl, ownerUrl, appUrl, systemUrl, proxyUrl })
  const remembered = folder.secrets.apiKey
  if (remembered !== undefined && (await isKnown(stores, await hashKey(pepper, remembered)))) return remembered
  const { apiKey } = await seed({ systemUrl, proxyUrl, pepper }, { name: 'My team' })
  await folder.rememberKey(apiKey)
  return apiKey
}

/** A remembered key means nothing in another database, or under another pepper. */
function isKnown({ systemUrl, proxyUrl }: Stores, hash: string): Promise<boolean> {
  return withDatabase({ url: systemUrl, proxyUrl }, async (pool) => {
    const { rows } = await pool.query('select 1 from api_keys where secret_hash = $1 and revoked_at is null', [hash])
    return rows.length > 0
  })
}

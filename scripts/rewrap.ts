/**
 * `npm run rewrap` wraps every data key and every signing key of the installation under KEK_CURRENT, once that has been
 * replaced and every gateway runs with it; KEK_PREVIOUS must still hold the one before. When it says that nothing is
 * left, KEK_PREVIOUS can be removed. It can be stopped and run again at any time, beside running gateways.
 */
import { fileURLToPath } from 'node:url'
import type { Pool } from '@neondatabase/serverless'
import { wrapContextOf } from '../src/features/encryption/data-keys.ts'
import { type KekSettings, kekIdIn, kekIdOf, unwrap, wrap } from '../src/features/encryption/keys.ts'
import { openForPlatform, SealError, sealForPlatform } from '../src/features/encryption/service.ts'
import { placeOf } from '../src/features/signing/store.ts'
import { requireVariable, withDatabase } from './database.ts'

const ROWS_AT_ONCE = 200
const KEK_BYTES = 32

type Client = Pick<Pool, 'query'>
type Counted = { rewrapped: number; unreadable: number }

export type Rewrapped = {
  dataKeys: Counted
  signingKeys: Counted
  /** Keys that only another key-encryption key than the current one opens. */
  left: number
}

export async function rewrap(client: Client, keks: KekSettings): Promise<Rewrapped> {
  const current = `k1.${await kekIdOf(keks.kekCurrent)}.`
  const dataKeys = await rewrapDataKeys(client, keks, current)
  const signingKeys = await rewrapSigningKeys(client, keks, current)
  const { rows } = await client.query<{ left: number }>(
    `select (
       (select count(*) from data_keys where not starts_with(wrapped_dek, $1))
       + (select count(*) from signing_keys where not starts_with(private_jwk, $1))
     )::int as left`,
    [current],
  )
  return { dataKeys, signingKeys, left: rows[0]?.left ?? 0 }
}

type DataKeyRow = { org_id: string; version: number; wrapped_dek: string }

async function rewrapDataKeys(client: Client, keks: KekSettings, current: string): Promise<Counted> {
  const counted = { rewrapped: 0, unreadable: 0 }
  for (let after = { org_id: '', version: 0 }; ; ) {
    const { rows } = await client.query<DataKeyRow>(
      `select org_id, version, wrapped_dek from data_keys
       where not starts_with(wrapped_dek, $1) and (org_id, version) > ($2, $3) order by org_id, version limit $4`,
      [current, after.org_id, after.version, ROWS_AT_ONCE],
    )
    for (const { org_id, version, wrapped_dek: before } of rows) {
      const context = wrapContextOf(org_id, version)
      const wrapped = await orUnreadable(async () => wrap(keks, context, await unwrap(keks, context, before)))
      if (wrapped === undefined) counted.unreadable += 1
      else {
        counted.rewrapped += 1
        // Whoever wrapped it in the meantime wrapped the same key.
        await client.query(
          'update data_keys set wrapped_dek = $1, kek_id = $2 where org_id = $3 and version = $4 and wrapped_dek = $5',
          [wrapped, kekIdIn(wrapped), org_id, version, before],
        )
      }
    }
    const last = rows.at(-1)
    if (!last) return counted
    after = last
  }
}

/** A signing key lasts a month, so there are never many. */
async function rewrapSigningKeys(client: Client, keks: KekSettings, current: string): Promise<Counted> {
  const counted = { rewrapped: 0, unreadable: 0 }
  const { rows } = await client.query<{ kid: string; private_jwk: string }>(
    'select kid, private_jwk from signing_keys where not starts_with(private_jwk, $1)',
    [current],
  )
  const deps = { settings: keks }
  for (const { kid, private_jwk: before } of rows) {
    const place = placeOf(kid)
    const sealed = await orUnreadable(async () =>
      sealForPlatform(deps, place, await openForPlatform(deps, place, before)),
    )
    if (sealed === undefined) counted.unreadable += 1
    else {
      counted.rewrapped += 1
      await client.query('update signing_keys set private_jwk = $1 where kid = $2 and private_jwk = $3', [
        sealed,
        kid,
        before,
      ])
    }
  }
  return counted
}

async function orUnreadable<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof SealError) return undefined
    throw error
  }
}

function kekIn(name: string, value: string): string {
  if (Buffer.from(value, 'base64').length === KEK_BYTES) return value
  console.error(`${name} is not 32 bytes in base64.`)
  process.exit(1)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const previous = process.env.KEK_PREVIOUS || undefined
  const keks = {
    kekCurrent: kekIn('KEK_CURRENT', requireVariable('KEK_CURRENT')),
    kekPrevious: previous && kekIn('KEK_PREVIOUS', previous),
  }
  const where = { url: requireVariable('DATABASE_SYSTEM_URL'), proxyUrl: process.env.NEON_PROXY_URL || undefined }
  const { dataKeys, signingKeys, left } = await withDatabase(where, (pool) => rewrap(pool, keks))
  console.log(`Data keys     ${dataKeys.rewrapped} wrapped anew, ${dataKeys.unreadable} that do not open`)
  console.log(`Signing keys  ${signingKeys.rewrapped} wrapped anew, ${signingKeys.unreadable} that do not open`)
  if (left === 0) console.log('Every key is under KEK_CURRENT: KEK_PREVIOUS can be removed.')
  else {
    console.error(`${left} keys are not under KEK_CURRENT: keep KEK_PREVIOUS, and run this again.`)
    process.exitCode = 1
  }
}

import { secondsOf } from '../../core/clock.ts'
import type { Deps } from '../../core/context.ts'
import type { QueryBuilder } from '../../core/db.ts'
import { sealForPlatform } from '../encryption/service.ts'
import { createKeyPair } from './jws.ts'
import type { signingKeys as SigningKeys } from './table.ts'

export type StoreDeps = Pick<Deps, 'settings' | 'db' | 'now' | 'newId'>
export type SigningRow = typeof SigningKeys.$inferSelect
export type NewRow = typeof SigningKeys.$inferInsert

/** Signing keys are the installation's: their transactions name no organisation, which shows them no tenant's row. */
export const NO_ORG = ''

// Loaded by the first use: an isolate that serves keys of the API signs and verifies nothing.
export const load = () => Promise.all([import('drizzle-orm/sql'), import('./table.ts')])

/** Where the private half of a key is sealed. */
export const placeOf = (kid: string) => ({ table: 'signing_keys', column: 'private_jwk', rowId: kid })

/** A key that is not stored yet. An active one signs from now on. */
export async function createRow(deps: StoreDeps, state: 'next' | 'active'): Promise<NewRow> {
  const kid = deps.newId('sig')
  const { publicJwk, privateJwk } = await createKeyPair()
  const now = secondsOf(deps.now())
  return {
    kid,
    alg: 'ES256',
    public_jwk: publicJwk,
    private_jwk: await sealForPlatform(deps, placeOf(kid), privateJwk),
    state,
    created_at: now,
    activated_at: state === 'active' ? now : null,
    not_after: null,
  }
}

/** Statements about signing keys: the lock under which they change, and those that are published. */
export async function statements(now: number) {
  const [{ gt, ne, or, sql }, { signingKeys }] = await load()
  return {
    /** Isolates that change keys at the same time go one after the other; each statement then sees what was done. */
    lock: (query: QueryBuilder) => query.execute(sql`select pg_advisory_xact_lock(hashtext('signing_keys'))`),
    published: (query: QueryBuilder) =>
      query
        .select()
        .from(signingKeys)
        .where(or(ne(signingKeys.state, 'retired'), gt(signingKeys.not_after, now))),
  }
}

/** Every key that signs, will sign, or has signed something that may still be used. Throws `DependencyError`. */
export async function readPublished({ db, now }: Pick<Deps, 'db' | 'now'>): Promise<SigningRow[]> {
  const { published } = await statements(secondsOf(now()))
  const [rows] = await db.atomically(NO_ORG, (query) => [published(query)])
  return rows
}

/** Stores a key unless there is one of its state already, and answers what is published then. */
export async function addKey(deps: StoreDeps, state: 'next' | 'active'): Promise<SigningRow[]> {
  const row = await createRow(deps, state)
  const [[, { signingKeys }], { lock, published }] = await Promise.all([load(), statements(row.created_at)])
  const [, , rows] = await deps.db.atomically(NO_ORG, (query) => [
    lock(query),
    query.insert(signingKeys).values(row).onConflictDoNothing(),
    published(query),
  ])
  return rows
}

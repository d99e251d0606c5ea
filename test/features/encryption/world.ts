import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { insert } from '../../../scripts/seed.ts'
import type { Ctx, Deps } from '../../../src/core/context.ts'
import type { Database } from '../../../src/core/db.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import { keyVersionOf, type Place, seal } from '../../../src/features/encryption/service.ts'
import { fakeAdmission, fakeDeps, fakeSettings } from '../../support/fake-deps.ts'
import { type FaultProxy, startFaultProxy } from '../../support/fault-proxy.ts'
import { type MigratedPostgres, startMigratedPostgres } from '../../support/migrated-postgres.ts'

export const DAY_MS = 24 * 3600 * 1000
export const START_MS = 1_800_000_000_000

const kek = () => randomBytes(32).toString('base64')
export const [firstKek, secondKek] = [kek(), kek()]

export type Isolate = { deps: Deps; clock: { ms: number; transactions: number } }

/** A request of an owner in an isolate. */
export const ctxOf = ({ deps }: Isolate, orgId: string): Ctx => ({
  ...deps,
  caller: { orgId, keyId: 'key_1', kind: 'user', userId: 'usr_1', role: 'owner', scopes: ['*:*'], ip: '192.0.2.1' },
  admission: fakeAdmission({ orgId }),
  requestId: 'req_1',
  signal: new AbortController().signal,
  startedMs: START_MS,
  defer: () => {},
})

export const secretAt = (orgId: string, rowId: string): Place => ({ orgId, table: 'secrets', column: 'value', rowId })
export const answerAt = (orgId: string, rowId: string): Place => ({
  orgId,
  table: 'idempotency_keys',
  column: 'body',
  rowId,
})

export const idsOf = (orgId: string, size: number) => Array.from({ length: size }, (_, at) => `${orgId}-${1000 + at}`)

export type Stored = { id: string; value: string; dek_version: number }

type Started = { migrated: MigratedPostgres; proxy: FaultProxy; db: Database }

async function start(): Promise<Started> {
  const migrated = await startMigratedPostgres()
  const proxy = await startFaultProxy(migrated.server.proxyUrl)
  return { migrated, proxy, db: migrated.database(proxy.url) }
}

export type World = ReturnType<typeof useWorld>

/** A Postgres for one file of tests, and isolates over it. */
export function useWorld() {
  let started: Started | undefined
  const world = (): Started => {
    if (!started) throw new Error('The database has not been started yet.')
    return started
  }
  beforeAll(async () => {
    started = await start()
  })
  afterAll(async () => {
    await started?.proxy.close()
    await started?.migrated.close()
  })

  return {
    postgres: () => world().migrated.server,
    db: () => world().db,
    pool: () => world().migrated.pool,
    proxy: () => world().proxy,

    /** An isolate with a memory and a clock of its own, and a count of its transactions. */
    isolate(given: Partial<Deps['settings']> = {}, database: Database = world().db): Isolate {
      const clock = { ms: START_MS, transactions: 0 }
      const deps = fakeDeps({
        settings: { ...fakeSettings, kekCurrent: firstKek, kekPrevious: undefined, ...given },
        db: {
          query: database.query,
          atomically: (orgId, build) => {
            clock.transactions++
            return database.atomically(orgId, build)
          },
        },
        now: () => clock.ms,
      })
      return { deps, clock }
    },

    /** A database that is lost as soon as some secret of the organisation is under its second data key. */
    breaksOff: (orgId: string): Database => ({
      query: world().db.query,
      atomically: async (org, build) => {
        const begun = 'select 1 from secrets where org_id = $1 and dek_version = 2 limit 1'
        const { rows } = await world().migrated.pool.query(begun, [orgId])
        if (rows.length > 0) throw new DependencyError('postgres', undefined)
        return world().db.atomically(org, build)
      },
    }),

    /** Somewhere in an organisation that has sealed nothing yet. */
    async newPlace(): Promise<Place> {
      const { orgId } = await insert(world().migrated.pool, 'pepper', { name: 'Sealed' })
      return { orgId, table: 'oidc_providers', column: 'client_secret', rowId: 'idp_1' }
    },

    async keysOf(orgId: string) {
      const { rows } = await world().migrated.pool.query(
        'select version, kek_id, state, created_at::int from data_keys where org_id = $1 order by version',
        [orgId],
      )
      return rows
    },

    /** Secrets of an organisation, each with its id for a value. */
    async store({ deps }: Isolate, orgId: string, ids: readonly string[]): Promise<void> {
      const values: string[] = []
      for (const id of ids) values.push(await seal(deps, secretAt(orgId, id), id))
      await world().migrated.pool.query(
        `insert into secrets (
           id, org_id, name, scope_kind, scope_id, value, dek_version, version, created_at, updated_at
         ) select id, $1, id, 'org', $1, value, version, 1, 0, 0
         from unnest($2::text[], $3::text[], $4::int[]) as given (id, value, version)`,
        [orgId, ids, values, values.map(keyVersionOf)],
      )
    },

    /** A kept answer with its id for a body. */
    async storeAnswer({ deps }: Isolate, orgId: string, id: string): Promise<void> {
      await world().migrated.pool.query(
        `insert into idempotency_keys (org_id, id, body_hash, state, body, created_at, expires_at)
         values ($1, $2, '', 'done', $3, 0, 0)`,
        [orgId, id, await seal(deps, answerAt(orgId, id), id)],
      )
    },

    async stored(orgId: string): Promise<Stored[]> {
      const { rows } = await world().migrated.pool.query<Stored>(
        'select id, value, dek_version from secrets where org_id = $1 order by id',
        [orgId],
      )
      return rows
    },
  }
}

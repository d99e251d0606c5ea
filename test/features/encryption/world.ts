import { randomBytes } from 'node:crypto'
import { neonConfig, Pool } from '@neondatabase/serverless'
import { afterAll, beforeAll } from 'vitest'
import { type LocalPostgres, startPostgres } from '../../../scripts/local/postgres/server.ts'
import { migrate } from '../../../scripts/migrate.ts'
import { insert } from '../../../scripts/seed.ts'
import { createDatabase, databaseOrigin } from '../../../src/adapters/neon.ts'
import { createOutbound } from '../../../src/adapters/outbound.ts'
import type { Deps } from '../../../src/core/context.ts'
import type { Database } from '../../../src/core/db.ts'
import type { Place } from '../../../src/features/encryption/service.ts'
import { fakeDeps, fakeSettings } from '../../support/fake-deps.ts'
import { type FaultProxy, startFaultProxy } from '../../support/fault-proxy.ts'

const users = { postgres: 'admin', helix_owner: 'owner', helix_app: 'app', helix_system: 'system' }

export const DAY_MS = 24 * 3600 * 1000
export const START_MS = 1_800_000_000_000

const kek = () => randomBytes(32).toString('base64')
export const [firstKek, secondKek] = [kek(), kek()]

type Started = { postgres: LocalPostgres; proxy: FaultProxy; pool: Pool; db: Database }

async function start(): Promise<Started> {
  const postgres = await startPostgres({ users })
  await migrate({
    adminUrl: postgres.urlFor('postgres'),
    ownerUrl: postgres.urlFor('helix_owner'),
    appUrl: postgres.urlFor('helix_app'),
    systemUrl: postgres.urlFor('helix_system'),
    proxyUrl: postgres.proxyUrl,
  })
  const proxy = await startFaultProxy(postgres.proxyUrl)
  const options = { databaseUrl: postgres.urlFor('helix_app'), proxyUrl: proxy.url }
  const outbound = createOutbound({
    trustedOrigins: [databaseOrigin(options)],
    testOrigins: [],
    deniedHosts: [],
    dohUrl: 'https://doh.test',
    fetch,
    now: Date.now,
  })
  neonConfig.wsProxy = () => `${new URL(postgres.proxyUrl).host}/v2`
  neonConfig.useSecureWebSocket = false
  const pool = new Pool({ connectionString: postgres.urlFor('helix_system'), max: 1 })
  return { postgres, proxy, pool, db: createDatabase({ ...options, outbound }) }
}

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
    await started?.pool.end()
    await started?.proxy.close()
    await started?.postgres.close()
  })

  return {
    db: () => world().db,
    pool: () => world().pool,
    proxy: () => world().proxy,

    /** An isolate with a memory and a clock of its own, and a count of its transactions. */
    isolate(given: Partial<Deps['settings']> = {}, database: Database = world().db) {
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

    /** Somewhere in an organisation that has sealed nothing yet. */
    async newPlace(): Promise<Place> {
      const { orgId } = await insert(world().pool, 'pepper', { name: 'Sealed' })
      return { orgId, table: 'oidc_providers', column: 'client_secret', rowId: 'idp_1' }
    },

    async keysOf(orgId: string) {
      const { rows } = await world().pool.query(
        'select version, kek_id, state, created_at::int from data_keys where org_id = $1 order by version',
        [orgId],
      )
      return rows
    },
  }
}

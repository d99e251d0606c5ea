import type { Pool } from '@neondatabase/serverless'
import type { Deps } from '../../../src/core/context.ts'
import type { Database } from '../../../src/core/db.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import { newId } from '../../../src/core/ids.ts'
import type { Role } from '../../../src/core/roles.ts'
import type { PublicCtx } from '../../../src/http/route.ts'
import { fakeDeps, keptLog, type LogLine } from '../../support/fake-deps.ts'
import { startMigratedPostgres } from '../../support/migrated-postgres.ts'

export const START_MS = 1_900_000_000_000

type Rows = Record<string, unknown>[]

/** A migrated Postgres for sessions and signing keys. */
export type World = {
  db: Database
  /** As the role that crosses organisations. */
  query(text: string, values?: unknown[]): Promise<Rows>
  /** A person with a role in a new organisation. */
  person(role?: Role): Promise<{ userId: string; orgId: string }>
  close(): Promise<void>
}

/** On the embedded Postgres, or on the server of that URL, which the password's owner may do everything on. */
export async function startWorld(upstream?: { url: string; password: string }): Promise<World> {
  const { pool, database, close } = await startMigratedPostgres(upstream)
  return {
    db: database(),
    query: async (text, values) => (await pool.query(text, values)).rows,
    person: (role = 'member') => insertPerson(pool, role),
    close,
  }
}

async function insertPerson(pool: Pool, role: Role): Promise<{ userId: string; orgId: string }> {
  const [orgId, userId] = [newId('org', START_MS), newId('usr', START_MS)]
  await pool.query(
    `insert into orgs (id, name, slug, status, created_at, updated_at) values ($1, 'Here', $2, 'active', 1, 1)`,
    [orgId, orgId.replace('_', '-')],
  )
  await pool.query(
    `insert into users (id, username, username_key, email, email_key, created_at, updated_at)
     values ($1, $1, $1, $1, $1, 1, 1)`,
    [userId],
  )
  await pool.query(
    'insert into memberships (org_id, user_id, role, created_at, updated_at) values ($1, $2, $3, 1, 1)',
    [orgId, userId, role],
  )
  return { userId, orgId }
}

/** What an isolate's Redis and limiter were asked for, its clock and its log; Postgres and Redis can be away. */
export type Isolate = {
  ctx: PublicCtx
  clock: { ms: number }
  away: { postgres: boolean; redis: boolean }
  /** Statements and transactions that Postgres was asked for. */
  asked(): number
  /** Records that were marked as changed. */
  marked: string[]
  taken: string[]
  lines: LogLine[]
}

/** An isolate with a memory and a clock of its own. */
export function isolate(db: Database, given: Partial<Deps> = {}): Isolate {
  const clock = { ms: START_MS }
  const away = { postgres: false, redis: false }
  const [marked, taken]: [string[], string[]] = [[], []]
  const { log, lines } = keptLog()
  let asked = 0
  const reach = (store: keyof typeof away) => {
    if (store === 'postgres') asked++
    if (away[store]) throw new DependencyError(store, new Error('away'))
  }
  const now = () => clock.ms
  const deps = fakeDeps({
    db: {
      query: async (statement) => {
        reach('postgres')
        return db.query(statement)
      },
      atomically: async (orgId, build) => {
        reach('postgres')
        return db.atomically(orgId, build)
      },
    },
    redis: {
      run: () => Promise.reject(new Error('no script is run here')),
      pipeline: async (commands) => {
        reach('redis')
        for (const [name, key] of commands) if (name === 'HSET') marked.push(String(key))
        return []
      },
    },
    limiter: {
      allows: async () => true,
      take: async (name, subject) => {
        reach('redis')
        taken.push(`${name} ${subject}`)
        return { allowed: true, retryAfterSeconds: 1 }
      },
      reset: async () => {},
    },
    log,
    now,
    newId: (prefix) => newId(prefix, now()),
    ...given,
  })
  const signal = new AbortController().signal
  const ctx = { ...deps, requestId: 'req_test', signal, startedMs: clock.ms, defer: () => {} }
  return { ctx, clock, away, asked: () => asked, marked, taken, lines }
}

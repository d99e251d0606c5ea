import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import { findSession, openSession, refreshSession, type TokenPair } from '../../../src/features/sessions/service.ts'
import { verifyAccessToken } from '../../../src/features/signing/service.ts'
import { count } from '../../support/lane.ts'
import { startRealPostgres } from '../../support/real-postgres.ts'
import { isolate, startWorld, type World } from './world.ts'

const SEED = 31

// The embedded Postgres has one connection, on which nothing really meets: where there is a real one, that one is used.
const real = await startRealPostgres()
let world: World
beforeAll(async () => {
  world = await startWorld(real)
})
afterAll(async () => {
  await world?.close()
  await real?.stop()
})

describe('parallel refreshes of one token', () => {
  it('leave at most one successor, and reuse kills the family', { timeout: 15 * 60_000 }, async () => {
    const races = fc.sample(fc.integer({ min: 2, max: 20 }), { numRuns: count(15, 2000), seed: SEED })
    for (const parallel of races) await race(parallel)
  })
})

async function race(parallel: number): Promise<void> {
  const here = isolate(world.db)
  const person = await world.person()
  const opened = await openSession(here.ctx, {
    ...person,
    role: 'member',
    audience: 'helix',
    method: 'password',
    ip: '192.0.2.1',
    userAgent: null,
  })
  const results = await Promise.allSettled(
    Array.from({ length: parallel }, () => refreshSession(isolate(world.db).ctx, opened.refresh_token)),
  )
  const successors = results.flatMap((result): TokenPair[] => (result.status === 'fulfilled' ? [result.value] : []))
  const refusals = results.flatMap((result): unknown[] => (result.status === 'rejected' ? [result.reason] : []))
  expect(successors).toHaveLength(1)
  expect(refusals.filter((error) => !(error instanceof AppError && error.code === 'invalid_credentials'))).toEqual([])

  const [live] = await world.query(
    `select count(*)::int as tokens from refresh_tokens t join login_sessions s on s.id = t.session_id
     where s.user_id = $1 and t.rotated_at is null and s.revoked_at is null`,
    [person.userId],
  )
  expect(live?.tokens).toBe(0)
  const claims = await verifyAccessToken(here.ctx, successors[0]?.access_token ?? '')
  expect(await findSession(here.ctx, person.orgId, claims?.sid ?? '')).toBeUndefined()
  await expect(refreshSession(here.ctx, successors[0]?.refresh_token ?? '')).rejects.toMatchObject({ status: 401 })
  const reuses = await world.query("select 1 from audit_log where org_id = $1 and action = 'session.reuse'", [
    person.orgId,
  ])
  expect(reuses).toHaveLength(1)
}

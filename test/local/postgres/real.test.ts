import { neon } from '@neondatabase/serverless'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startPostgres } from '../../../scripts/local/postgres/server.ts'
import { startRealPostgres } from '../../support/real-postgres.ts'
import { describeData } from './contract-data.ts'
import { describeHttp } from './contract-http.ts'
import { describeSessions } from './contract-sessions.ts'
import { postSql, prepareTarget, ROLES, type Target } from './target.ts'

const server = await startRealPostgres()

describe.skipIf(!server)('a real Postgres behind the same listeners', { timeout: 30_000 }, () => {
  let started: Target | undefined
  const target = () => {
    if (!started) throw new Error('the real Postgres did not start')
    return started
  }
  beforeAll(async () => {
    const users = { postgres: server?.password ?? '', ...ROLES }
    const limits = { maxRequestBytes: 8_000_000, maxResponseBytes: 8_000_000 }
    started = await prepareTarget(await startPostgres({ upstream: server?.url, users, tcpPort: 0, ...limits }))
  }, 60_000)
  afterAll(async () => {
    await started?.postgres.close()
    await server?.stop()
  })

  it('limits the time of statements that come over HTTP', async () => {
    const [row] = await neon(target().postgres.urlFor('postgres'))`show statement_timeout`
    expect(row).toEqual({ statement_timeout: '30s' })
  })

  it.each(['mysql://127.0.0.1/x', 'postgres://', 'nonsense'])('does not accept %s as a server', async (upstream) => {
    await expect(startPostgres({ upstream, users: {} })).rejects.toThrow('postgres://host:port/database')
  })

  it('says that a server cannot be reached', async () => {
    const gone = await startPostgres({ upstream: 'postgres://127.0.0.1:1/none', users: { postgres: 'x' } })
    const health = await fetch(`${gone.proxyUrl}/health`)
    const query = await postSql(gone, { query: 'select 1' })
    await gone.close()
    expect([health.status, query.status]).toEqual([503, 500])
    expect(await query.json()).toMatchObject({ message: expect.stringContaining('ECONNREFUSED') })
  })

  describe('over HTTP', () => describeHttp(target))
  describe('over WebSocket', () => describeSessions(target))
  describe('with data', () => describeData(target))
})

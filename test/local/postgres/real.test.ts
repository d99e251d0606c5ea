import { afterAll, beforeAll, describe } from 'vitest'
import { startPostgres } from '../../../scripts/local/postgres/server.ts'
import { startRealPostgres } from '../../support/real-postgres.ts'
import { describeData } from './contract-data.ts'
import { describeHttp } from './contract-http.ts'
import { describeSessions } from './contract-sessions.ts'
import { prepareTarget, ROLES, type Target } from './target.ts'

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

  describe('over HTTP', () => describeHttp(target))
  describe('over WebSocket', () => describeSessions(target))
  describe('with data', () => describeData(target))
})

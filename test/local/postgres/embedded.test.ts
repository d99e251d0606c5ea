import { afterAll, beforeAll, describe } from 'vitest'
import { startPostgres } from '../../../scripts/local/postgres/server.ts'
import { describeData } from './contract-data.ts'
import { describeHttp } from './contract-http.ts'
import { describeSessions } from './contract-sessions.ts'
import { prepareTarget, ROLES, type Target } from './target.ts'

describe('the embedded Postgres', { timeout: 30_000 }, () => {
  let started: Target | undefined
  const target = () => {
    if (!started) throw new Error('the embedded Postgres did not start')
    return started
  }
  beforeAll(async () => {
    const users = { postgres: 'superuser-secret', ...ROLES }
    const limits = { maxRequestBytes: 8_000_000, maxResponseBytes: 8_000_000 }
    started = await prepareTarget(await startPostgres({ users, tcpPort: 0, ...limits }))
  }, 60_000)
  afterAll(() => started?.postgres.close())

  describe('over HTTP', () => describeHttp(target))
  describe('over WebSocket', () => describeSessions(target))
  describe('with data', () => describeData(target))
})

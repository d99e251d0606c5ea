import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, inject } from 'vitest'
import { startPostgres } from '../../../scripts/local/postgres/server.ts'
import { copyUnused } from '../../support/postgres-copies.ts'
import { describeData } from './contract-data.ts'
import { describeHttp } from './contract-http.ts'
import { describeSessions } from './contract-sessions.ts'
import { prepareTarget, ROLES, type Target } from './target.ts'

describe('the embedded Postgres', { timeout: 30_000 }, () => {
  let folder = ''
  let started: Target | undefined
  const target = () => {
    if (!started) throw new Error('the embedded Postgres did not start')
    return started
  }
  beforeAll(async () => {
    const users = { postgres: 'superuser-secret', ...ROLES }
    const limits = { maxRequestBytes: 8_000_000, maxResponseBytes: 8_000_000 }
    folder = await mkdtemp(join(tmpdir(), 'local-postgres-'))
    const dataDir = join(folder, 'data')
    await copyUnused(inject('snapshotFolder'), dataDir)
    started = await prepareTarget(await startPostgres({ users, dataDir, tcpPort: 0, ...limits }))
  }, 60_000)
  afterAll(async () => {
    await started?.postgres.close()
    await rm(folder, { recursive: true, force: true })
  })

  describe('over HTTP', () => describeHttp(target))
  describe('over WebSocket', () => describeSessions(target))
  describe('with data', () => describeData(target))
})

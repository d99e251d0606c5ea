import { expect, it } from 'vitest'
import { createBook } from '../../../src/features/ledger/book.ts'
import { createNotices } from '../../../src/features/ledger/notices.ts'
import { createOutbox } from '../../../src/features/ledger/outbox.ts'
import { fakeDeps, keptLog } from '../../support/fake-deps.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'
import { settlementOf } from './calls.ts'

it('sets a row aside that Postgres will never take, and writes the others', async () => {
  const written: string[] = []
  const kept = keptLog()
  const storage = sqliteStorage()
  const book = createBook(storage, { graceMs: 0 })
  const deps = fakeDeps({
    log: kept.log,
    redis: { run: async () => null, pipeline: async (commands) => commands.map(() => null) },
    db: {
      query: async () => [],
      atomically: (async (_org: string, build: (query: unknown) => unknown) => {
        let text = ''
        build({ execute: (statement: { queryChunks: unknown[] }) => (text = JSON.stringify(statement.queryChunks)) })
        if (text.includes('req_bad')) throw Object.assign(new Error('invalid input syntax'), { code: '22P02' })
        for (const [, id] of text.matchAll(/(req_\w+)/g)) if (id && !written.includes(id)) written.push(id)
        return [[]]
      }) as never,
    },
  })
  const notices = createNotices({ orgId: 'org_1', book, storage, deps })
  const outbox = createOutbox({ orgId: 'org_1', book, notices, deps })
  for (const id of ['req_a', 'req_bad', 'req_b']) book.settle(settlementOf(id, 1), 1000)
  await outbox.flush()
  expect(written).toEqual(['req_a', 'req_b'])
  expect(book.unflushedCount()).toBe(0)
  expect(kept.lines).toContainEqual(
    expect.objectContaining({ event: 'ledger_row_refused', facts: expect.objectContaining({ request_id: 'req_bad' }) }),
  )
  expect(book.settle(settlementOf('req_bad', 1), 2000)).toBe(false)
})

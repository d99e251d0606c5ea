import { expect, it } from 'vitest'
import { decisionRow } from '../../../src/core/decision.ts'
import { requestRow } from '../../../src/core/request-log.ts'
import { createBook } from '../../../src/features/ledger/book.ts'
import { createNotices } from '../../../src/features/ledger/notices.ts'
import { createOutbox } from '../../../src/features/ledger/outbox.ts'
import { fakeDeps, keptLog } from '../../support/fake-deps.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'
import { settlementOf } from './calls.ts'

/** An outbox before a Postgres that refuses whatever the test says. */
function outboxBefore(refuses: (text: string) => boolean) {
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
        if (refuses(text)) throw Object.assign(new Error('invalid input syntax'), { code: '22P02' })
        for (const [, id] of text.matchAll(/(req_\w+)/g)) if (id && !written.includes(id)) written.push(id)
        return [[]]
      }) as never,
    },
  })
  const notices = createNotices({ orgId: 'org_1', book, storage, deps })
  return {
    written,
    kept,
    book,
    outbox: createOutbox({ orgId: 'org_1', book, notices, deps, onListed: () => undefined }),
  }
}

it('writes a call whose row in the log of requests is refused', async () => {
  const { written, kept, book, outbox } = outboxBefore((text) => text.includes('odd agent'))
  const settlement = settlementOf('req_odd', 1)
  const arrival = {
    requestId: 'req_odd',
    method: 'POST',
    path: '/v1/chat/completions',
    ip: '',
    userAgent: 'odd agent',
    clientRequestId: undefined,
    bytesIn: null,
    response: Promise.resolve({ statusCode: 200, bytesOut: null }),
    isBooked: true,
  }
  const policy = { orgId: 'org_1', keyId: 'key_1' }
  const ended = { statusCode: 200, errorCode: null, durationMs: 1, bytesOut: null, nowSeconds: 1 }
  const request = requestRow(arrival, { policy, ...ended })
  book.settle(settlementOf('req_a', 1), 1000)
  book.settle({ ...settlement, request }, 1000)
  await outbox.flush()
  expect(written).toEqual(['req_a', 'req_odd'])
  const events = kept.lines.map(({ event }) => event)
  expect(events).toContain('request_row_refused')
  expect(events).not.toContain('ledger_row_refused')
})

it('writes a call whose decision is refused', async () => {
  const { written, kept, book, outbox } = outboxBefore((text) => text.includes('odd-model'))
  const policy = { orgId: 'org_1', keyId: 'key_1', version: '1' }
  const decision = decisionRow(
    { id: 'dec_1', askedModel: 'odd-model', isStream: false, pricesVersion: '1', attempts: [], failed: [] },
    { requestId: 'req_odd', policy, outcome: 'ok', nowSeconds: 1 },
  )
  book.settle({ ...settlementOf('req_odd', 1), decision }, 1000)
  await outbox.flush()
  expect(written).toEqual(['req_odd'])
  expect(kept.lines.map(({ event }) => event)).not.toContain('ledger_row_refused')
})

it('sets a row aside that Postgres will never take, and writes the others', async () => {
  const { written, kept, book, outbox } = outboxBefore((text) => text.includes('req_bad'))
  for (const id of ['req_a', 'req_bad', 'req_b']) book.settle(settlementOf(id, 1), 1000)
  await outbox.flush()
  expect(written).toEqual(['req_a', 'req_b'])
  expect(book.unflushedCount()).toBe(0)
  expect(kept.lines).toContainEqual(
    expect.objectContaining({ event: 'ledger_row_refused', facts: expect.objectContaining({ request_id: 'req_bad' }) }),
  )
  expect(book.settle(settlementOf('req_bad', 1), 2000)).toBe(false)
})

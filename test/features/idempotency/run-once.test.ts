import { drizzle } from 'drizzle-orm/neon-http'
import { describe, expect, it } from 'vitest'
import type { Ctx } from '../../../src/core/context.ts'
import type { Database } from '../../../src/core/db.ts'
import { AppError, DependencyError } from '../../../src/core/errors.ts'
import { createMemory } from '../../../src/core/memory.ts'
import { importDataKey, newDataKeyBytes } from '../../../src/features/encryption/seal.ts'
import { createOnce } from '../../../src/features/idempotency/service.ts'
import { fakeAdmission, fakeDeps, keptLog } from '../../support/fake-deps.ts'
import { noCredit } from '../../support/no-credit.ts'

type Statement = { sql: string; params: unknown[] }
const CLAIMED = [undefined, [{ id: 'row' }], []]
const AWAY = new DependencyError('postgres', new Error('gone'))
const call = { key: 'k', route: 'POST /v1/x', body: { a: 1 } }

/** A caller whose Postgres gives the answers of a list, one for each transaction, and keeps what it was sent. */
async function world(...answers: unknown[]) {
  const sent: Statement[][] = []
  const deferred: Promise<unknown>[] = []
  const builder = drizzle.mock()
  const atomically = async (_orgId: string, build: (query: typeof builder) => readonly { toSQL?(): Statement }[]) => {
    sent.push(build(builder).map((statement) => statement.toSQL?.() ?? { sql: '', params: [] }))
    const answer = answers.shift()
    if (answer instanceof Error) throw answer
    return answer
  }
  const nowMs = 1_800_000_000_000
  const memory = createMemory()
  const key = { key: await importDataKey(newDataKeyBytes()), version: 1, createdAt: nowMs / 1000, readMs: nowMs }
  memory.dataKeys.set('org_1:newest', key).set('org_1:1', key)
  const { log, lines } = keptLog()
  const db = { query: fakeDeps().db.query, atomically: atomically as Database['atomically'] }
  const admission = fakeAdmission()
  const ctx: Ctx = {
    ...fakeDeps({ db, log, memory, now: () => nowMs }),
    caller: { ...admission.policy, ip: '192.0.2.1' },
    admission,
    requestId: 'req_1',
    signal: new AbortController().signal,
    startedMs: nowMs,
    defer: (work) => void deferred.push(work),
  }
  return { ctx, sent, lines, settled: () => Promise.all(deferred) }
}

const once = createOnce()
/** What a call stored of its answer, as the parameters of its last statement. */
const lastOf = (sent: readonly Statement[][]) => sent.at(-1)?.[0]

describe('the answer of a call that runs once', () => {
  it('is kept without headers that belong to one request', async () => {
    const { ctx, sent } = await world(CLAIMED, [[]])
    const headers = { 'x-request-id': 'req_1', 'x-helix-model': 'gpt-4o', location: '/here', 'set-cookie': 'a=b' }
    const response = await once(ctx, call, async () => Response.json({ fine: true }, { status: 201, headers }))
    expect(await response.json()).toEqual({ fine: true })
    expect(response.headers.get('x-request-id')).toBe('req_1')
    expect(lastOf(sent)?.sql).toMatch(/^update "idempotency_keys"/)
    expect(lastOf(sent)?.params).toContainEqual(
      JSON.stringify({ 'content-type': 'application/json', location: '/here', 'x-helix-model': 'gpt-4o' }),
    )
  })

  it('is given also when it cannot be kept', async () => {
    const { ctx, lines } = await world(CLAIMED, AWAY)
    const response = await once(ctx, call, async () => Response.json({ fine: true }))
    expect(await response.json()).toEqual({ fine: true })
    expect(lines).toMatchObject([{ level: 'error', event: 'idempotency_key_stuck' }])
  })

  it.each([
    ['is longer than is kept', () => Response.json({ long: 'x'.repeat(1_000_001) })],
    ['is no JSON', () => new Response(new Uint8Array([1, 2, 255]), { headers: { 'content-type': 'audio/mpeg' } })],
    ['is a stream', () => new Response('data: 1\n\n', { headers: { 'content-type': 'text/event-stream' } })],
  ])('is only noted when it %s', async (_what, made) => {
    const { ctx, sent, settled } = await world(CLAIMED, [[]])
    const response = await once(ctx, call, async () => made())
    await settled()
    expect(lastOf(sent)?.params.slice(0, 4)).toContain(null)
    expect(lastOf(sent)?.params).toContain('done')
    const bytes = await Promise.all([response, made()].map(async (one) => Buffer.from(await one.arrayBuffer())))
    expect(Buffer.compare(bytes[0] ?? Buffer.alloc(0), bytes[1] ?? Buffer.alloc(0))).toBe(0)
  })

  it('without a body is repeated without one', async () => {
    const first = await world(CLAIMED, [[]])
    const response = await once(first.ctx, call, async () => new Response(null, { status: 204 }))
    expect(response.status).toBe(204)
    const sealed = lastOf(first.sent)?.params.find((value) => typeof value === 'string' && value.includes('.'))
    const [id, bodyHash] = [first.sent[0]?.[1]?.params[1], first.sent[0]?.[1]?.params[2]]
    const row = { id, body_hash: bodyHash, state: 'done', status: 204, headers: {}, body: sealed }
    const second = await world([undefined, [], [row]])
    for (const [name, key] of first.ctx.memory.dataKeys) second.ctx.memory.dataKeys.set(name, key)
    const again = await once(second.ctx, call, () => Promise.reject(new Error('it ran again')))
    expect([again.status, again.headers.get('idempotent-replayed'), again.body]).toEqual([204, 'true', null])
  })
})

describe('a call that fails', () => {
  it.each([
    ['says so', [[]]],
    ['says so also when its key cannot be given back', AWAY],
  ])('%s', async (_what, answer) => {
    const { ctx, sent } = await world(CLAIMED, answer)
    const failure = new AppError('provider_error', 'No.')
    await expect(once(ctx, call, () => Promise.reject(failure))).rejects.toBe(failure)
    expect(lastOf(sent)?.sql).toMatch(/^delete from "idempotency_keys"/)
  })

  it('by a response of its own is not kept either', async () => {
    const { ctx, sent } = await world(CLAIMED, [[]])
    expect((await once(ctx, call, async () => new Response('No.', { status: 404 }))).status).toBe(404)
    expect(lastOf(sent)?.sql).toMatch(/^delete from "idempotency_keys"/)
  })
})

describe('a key that is taken', () => {
  const ran = () => Promise.reject(new Error('it ran'))

  it('by a call that ended in this moment can be tried again', async () => {
    const { ctx } = await world([undefined, [], []])
    await expect(once(ctx, call, ran)).rejects.toMatchObject({ code: 'idempotency_in_progress', retryAfterSeconds: 1 })
  })

  it('leaves nothing held, whatever is wrong with the ledger', async () => {
    const { ctx, lines } = await world([undefined, [], []])
    const released: string[] = []
    const ledger = { ...ctx, admission: { ...ctx.admission, held: true } }
    const release = async (requestId: string) => {
      released.push(requestId)
      throw new DependencyError('ledger', new Error('gone'))
    }
    const refuse = () => Promise.reject(new Error('not asked for'))
    ledger.ledgerOf = () => ({
      ...noCredit,
      hold: refuse,
      extend: refuse,
      settle: refuse,
      spend: refuse,
      settledOn: refuse,
      forgetRun: refuse,
      release,
    })
    await expect(once(ledger, call, ran)).rejects.toMatchObject({ code: 'idempotency_in_progress' })
    expect(released).toEqual(['req_1'])
    expect(lines).toMatchObject([{ event: 'hold_not_released' }])
  })

  it('is not looked for without Postgres, and nothing runs', async () => {
    const { ctx } = await world(AWAY)
    await expect(once(ctx, call, ran)).rejects.toBe(AWAY)
  })
})

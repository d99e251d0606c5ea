import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { count } from '../support/lane.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { openCalls } from './truth-books.ts'
import { counted, type LedgerCounter, startLedgerCounter } from './truth-ledger-calls.ts'

const PER_SECOND = 200
const BUSY_PER_SECOND = 60
const IN_FLIGHT = 16

let stack: Stack
let vendor: FakeVendor
let calls: LedgerCounter

beforeAll(async () => {
  vendor = await startFakeVendor()
  calls = await startLedgerCounter()
  const jobs = await readFile(join(import.meta.dirname, '../../.build/jobs/index.js'), 'utf8')
  stack = await startStack({
    vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url, OUTBOUND_TEST_ORIGINS: calls.url },
    jobsScript: counted(jobs, calls.url),
  })
})
afterAll(async () => {
  await stack?.close()
  await Promise.all([vendor?.close(), calls?.close()])
})

const limits = { budgetUsd: 1000, requestsPerMinute: 1_000_000, burst: 100_000, tokensPerMinute: 1_000_000_000 }
const hello = (text: string, more: object = {}) => ({
  model: 'gpt-4o',
  messages: [{ role: 'user', content: text }],
  ...more,
})

/** A run that another one started. */
const makeRuns = (orgId: string) =>
  stack.query(
    `insert into budgets (id, org_id, subject_kind, subject_id, parent_id, "window", limit_nanos, hard, created_at, updated_at)
     values ($1 || 'a', $1, 'run', 'whole', null, 'total', 1000000000, true, 0, 0),
       ($1 || 'b', $1, 'run', 'part', 'whole', 'total', 1000000000, true, 0, 0)`,
    [orgId],
  )

/** What everything has cost so far. */
const costs = () => ({
  redis: stack.redis.requests(),
  postgres: stack.postgres.requests(),
  ledger: calls.names().length,
  vendor: vendor.requests(),
})

describe('a warm call', () => {
  it.each([
    ['whole', {}],
    ['streamed', { stream: true }],
    ['of a run', { helix: { run_id: 'part' } }],
  ])(
    '(%s) costs one Redis request and one hold before its vendor, nothing of Postgres, one settlement after',
    // A store that is slow for once is asked again: noise adds requests, it never takes one away.
    { retry: 3 },
    async (_form, more) => {
      const { apiKey, orgId } = await stack.org(limits)
      await makeRuns(orgId)
      await (await stack.call(apiKey, '/v1/chat/completions', hello('Warm up', more))).text()
      const rows = () => stack.query('select 1 from usage_ledger where org_id = $1', [orgId])
      await expect.poll(rows, { timeout: 5000 }).toHaveLength(1)
      await expect.poll(() => calls.names().filter((name) => name === 'settle').length).toBeGreaterThan(0)
      // The end of the first call's batch: what comes from here on is the second's.
      await expect.poll(() => openCalls(orgId), { timeout: 5000 }).toEqual([])

      const before = costs()
      calls.reset()
      const answering = stack.call(apiKey, '/v1/chat/completions', hello('fault:delay=1000', more))
      await expect.poll(() => vendor.requests(), { timeout: 5000, interval: 5 }).toBe(before.vendor + 1)
      const asked = costs()
      expect(asked.redis - before.redis).toBe(1)
      expect(asked.postgres - before.postgres).toBe(0)
      await expect.poll(() => calls.names(), { interval: 5 }).toEqual(['hold'])

      const response = await answering
      expect(response.status).toBe(200)
      await response.text()
      await expect.poll(() => calls.names()).toEqual(['hold', 'settle'])
      // The batch that follows within a second: one request to each store.
      await expect.poll(rows, { timeout: 5000 }).toHaveLength(2)
      await expect.poll(() => costs().redis - before.redis).toBe(2)
      expect(costs().postgres - before.postgres).toBe(1)
      expect(calls.names()).toEqual(['hold', 'settle'])
    },
  )
})

describe('many calls of one organisation', () => {
  it('cost little more than one Redis request each, and hardly any of Postgres', async () => {
    const { apiKey, orgId } = await stack.org(limits)
    await (await stack.call(apiKey, '/v1/chat/completions', hello('Warm up'))).text()
    const rows = async () => {
      const [row] = await stack.query('select count(*) as rows from usage_ledger where org_id = $1', [orgId])
      return Number(row?.rows)
    }
    await expect.poll(rows, { timeout: 5000 }).toBe(1)
    const total = count(400, 4000)
    const before = costs()
    const startedMs = performance.now()
    let next = 0
    // A machine that cannot keep up with this pace is asked less, never more at once: fewer calls share a batch then.
    const caller = async (): Promise<void> => {
      while (next < total) {
        const at = next++
        const dueMs = startedMs + (at / PER_SECOND) * 1000
        await new Promise((resolve) => setTimeout(resolve, dueMs - performance.now()))
        const response = await stack.call(apiKey, '/v1/chat/completions', hello(`Call ${at % 50}`))
        expect(response.status).toBe(200)
        await response.text()
      }
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, caller))
    const answeredMs = performance.now() - startedMs
    await expect.poll(rows, { timeout: 10_000 }).toBe(total + 1)
    const after = costs()
    const perCall = {
      redis: (after.redis - before.redis) / total,
      postgres: (after.postgres - before.postgres) / total,
      ledger: (after.ledger - before.ledger) / total,
    }
    console.info(`${total} calls in ${Math.round(answeredMs)} ms cost each`, perCall)
    expect(perCall.redis).toBeGreaterThanOrEqual(1)
    expect(perCall.redis).toBeLessThanOrEqual(1.2)
    expect(perCall.postgres).toBeLessThanOrEqual(0.05)
    // Most hold by what the ledger has left their isolate, and what ends at about the same time is settled together; on
    // a machine that is slower than that each call may come alone.
    const isBusy = answeredMs < (total / BUSY_PER_SECOND) * 1000
    expect(perCall.ledger).toBeLessThanOrEqual(isBusy ? 1.25 : 2)
  })
})

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { count } from '../support/lane.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { booksOf, openCalls, type UsageRow, usageRow } from './truth-books.ts'

const KILLS = count(1, 3)
/** So many calls a second, and a budget so large, that the first life leaves its isolate credit. */
const AT_ONCE = 16
const BUDGET_USD = 100_000
const TIMEOUT_MS = 1500
const GRACE_MS = 400

let stack: Stack
let vendor: FakeVendor
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'helix-kill-'))
  vendor = await startFakeVendor()
  stack = await startStack({
    vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url, HOLD_GRACE_MS: String(GRACE_MS) },
    persistTo: folder,
  })
})
afterAll(async () => {
  await stack?.close()
  await vendor?.close()
  await rm(folder, { recursive: true, force: true })
})

type Outcome = { marker: string; requestId: string | undefined; whole: boolean }

/** One call, streamed or whole, of about half a second; `whole` is whether its caller got all of it. */
async function call(apiKey: string, at: number): Promise<Outcome> {
  const marker = `k${at}`
  const stream = at % 2 === 0
  const pace = stream ? 'slow=20,pieces=25' : `delay=${200 + (at % 7) * 60}`
  const body = {
    model: 'gpt-4o',
    messages: [{ role: 'user', content: `Tell me something about number ${at}. fault:${pace}` }],
    user: marker,
    stream,
    helix: { timeout_ms: TIMEOUT_MS },
  }
  let requestId: string | undefined
  try {
    const response = await stack.call(apiKey, '/v1/chat/completions', body)
    requestId = response.headers.get('x-request-id') ?? undefined
    const text = await response.text()
    return { marker, requestId, whole: stream ? text.endsWith('data: [DONE]\n\n') : text.includes('"usage"') }
  } catch {
    return { marker, requestId, whole: false }
  }
}

const total = (rows: readonly UsageRow[]) => rows.reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0)

describe('workerd killed in the middle of its work', () => {
  it(
    'loses no row and no money: what was lost is known as unknown, within what it held',
    async () => {
      const { apiKey, orgId, budgetId = '' } = await stack.org({ budgetUsd: BUDGET_USD })
      const outcomes: Outcome[] = []
      let next = 0
      for (let kill = 0; kill < KILLS; kill++) {
        const before = vendor.requests()
        let isDead = false
        const caller = async (): Promise<void> => {
          while (!isDead) outcomes.push(await call(apiKey, next++))
        }
        const callers = Array.from({ length: AT_ONCE }, caller)
        await expect
          .poll(() => vendor.requests() - before, { timeout: 20_000, interval: 5 })
          .toBeGreaterThan(4 * AT_ONCE)
        isDead = true
        stack.kill()
        await Promise.all(callers)
        await stack.restart()
      }

      const reached = new Set(vendor.truth().map(({ marker }) => marker))
      const fetchRows = async () =>
        (await stack.query('select * from usage_ledger where org_id = $1', [orgId])).map(usageRow)
      // Nobody calls any more: it is the alarm alone that finishes the books.
      await expect
        .poll(async () => (await fetchRows()).length, { timeout: 15_000 })
        .toBeGreaterThanOrEqual(reached.size)
      await expect.poll(() => booksOf(folder, budgetId), { timeout: 10_000 }).toMatchObject({ waiting: 0, marks: 0 })
      await expect.poll(() => openCalls(orgId)).toEqual([])
      const rows = await fetchRows()
      const unknown = rows.filter(({ status }) => status === 'unknown')
      const killed = outcomes.filter(({ whole }) => !whole)
      const survived = outcomes.filter(({ whole }) => whole)
      console.info(
        `${KILLS} kills: ${outcomes.length} calls, ${survived.length} answered, ${killed.length} killed, ${rows.length} rows, ${unknown.length} unknown`,
      )

      // One row for each call that the vendor knows of; a call killed on its way there may have held already.
      expect(killed.length).toBeGreaterThan(0)
      expect(unknown.length).toBeGreaterThan(0)
      const lostOnTheWay = killed.filter(({ marker }) => !reached.has(marker)).length
      expect(rows.length).toBeLessThanOrEqual(reached.size + lostOnTheWay)
      expect(new Set(rows.map(({ requestId }) => requestId)).size).toBe(rows.length)

      // A call that was answered and booked is exact. One whose booking was still to come is unknown.
      const rowOf = new Map(rows.map((row) => [row.requestId, row]))
      const truthOf = new Map(vendor.truth().map((row) => [row.marker, row]))
      for (const { marker, requestId = '' } of survived) {
        const [row, truth] = [rowOf.get(requestId), truthOf.get(marker)]
        expect(row).toBeDefined()
        if (row?.status === 'unknown') continue
        expect([row?.status, row?.prompt, row?.completion]).toEqual(['ok', truth?.prompt, truth?.completion])
      }
      const bookedLate = survived.filter(({ requestId = '' }) => rowOf.get(requestId)?.status === 'unknown')
      expect(bookedLate.length).toBeLessThanOrEqual(KILLS * AT_ONCE)
      expect(unknown.length).toBeLessThanOrEqual(killed.length + bookedLate.length)

      // The budget is the sum of the rows, and an unknown row is bounded by its hold: the input's bytes and a whole slice.
      const dearest = Math.max(...unknown.map(({ costNanoUsd }) => costNanoUsd))
      expect(dearest).toBeLessThanOrEqual(rows[0]?.costOf(300, 16_384) ?? 0)
      expect(booksOf(folder, budgetId)?.settledNanoUsd).toBe(total(rows))
    },
    count(60_000, 180_000),
  )
})

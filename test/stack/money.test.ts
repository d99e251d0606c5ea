import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { newId } from '../../src/core/ids.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { count } from '../support/lane.ts'
import { person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { makeWish, type Wish, wishesFor } from './money-traffic.ts'
import { booksOf, openCalls, type UsageRow, usageRow } from './truth-books.ts'
import { settledTwice } from './truth-ledger-calls.ts'

const ORGS = count(2, 20)
const CLIENTS = count(24, 500)
const KILLS = count(1, 3)
const REDIS_AWAY_MS = count(300, 10_000)
/** So many clients at once keep each other waiting. */
const TIMEOUT_MS = count(4000, 30_000)
const GRACE_MS = 400
/** Everything that a kill has left open is over by then, whatever else the machine has to do. */
const OVER_MS = 2 * TIMEOUT_MS + 30_000
const CAP_NANO_USD = count(30_000_000, 50_000_000)
/** Of the organisation's cap: what it may spend on the dearest model. */
const MODEL_SHARE = 0.2
const DEAREST = 'gpt-4-turbo'

let stack: Stack
let vendor: FakeVendor
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'helix-money-'))
  vendor = await startFakeVendor()
  const jobs = await readFile(join(import.meta.dirname, '../../.build/jobs/index.js'), 'utf8')
  stack = await startStack({
    vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url, HOLD_GRACE_MS: String(GRACE_MS) },
    persistTo: folder,
    jobsScript: settledTwice(jobs),
  })
})
afterAll(async () => {
  await stack?.close()
  await vendor?.close()
  await rm(folder, { recursive: true, force: true })
})

type Budget = { id: string; capNanoUsd: number }
type Org = {
  orgId: string
  apiKey: string
  org: Budget
  model: Budget
  wishes: Wish[]
  refused: Wish[]
}

async function makeOrg(seed: number): Promise<Org> {
  const { orgId, apiKey } = await stack.org({ name: 'Money' })
  const budget = async (kind: string, subject: string, capNanoUsd: number): Promise<Budget> => {
    const id = newId('bud', Date.now())
    await stack.query(
      `insert into budgets (id, org_id, subject_kind, subject_id, "window", limit_nanos, hard, created_at, updated_at)
       values ($1, $2, $3, $4, 'total', $5, true, 0, 0)`,
      [id, orgId, kind, subject, capNanoUsd],
    )
    return { id, capNanoUsd }
  }
  const org = await budget('org', orgId, CAP_NANO_USD)
  const model = await budget('model', DEAREST, Math.floor(CAP_NANO_USD * MODEL_SHARE))
  const wishes = wishesFor(orgId, { demandNanoUsd: 2 * CAP_NANO_USD, seed, timeoutMs: TIMEOUT_MS })
  return { orgId, apiKey, org, model, wishes, refused: [] }
}

const RETRY_MS = count(20, 300)
/** While workerd starts again, or a store does not answer, asking more often only makes it take longer. */
const AWAY_MS = 250
const MOST_TRIES = 5

/** One client of an organisation. Whoever is refused for money asks again a few times: others may hold what they do not need. */
async function client(org: Org): Promise<void> {
  for (;;) {
    const wish = org.wishes.pop()
    if (!wish) return
    const outcome = await makeWish(stack, org.apiKey, wish)
    if (outcome === 'done') continue
    if (outcome === 'no_money') wish.refusals += 1
    if (wish.refusals === MOST_TRIES) org.refused.push(wish)
    else {
      org.wishes.unshift(wish)
      const pauseMs = outcome === 'away' ? AWAY_MS : RETRY_MS
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
}

/** What is left over when everybody was refused once is asked a last time, one call after the other. */
async function drain(org: Org): Promise<void> {
  for (const wish of [...org.wishes.splice(0), ...org.refused.splice(0)]) await makeWish(stack, org.apiKey, wish)
}

const total = (rows: readonly UsageRow[]) => rows.reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0)
const answered = (): number => vendor.truth().filter(({ finished }) => finished).length

/** Kills workerd and stops Redis while the clients go on. */
async function trouble(isOver: () => boolean): Promise<void> {
  const step = 30
  for (let kill = 0; kill < KILLS && !isOver(); kill++) {
    const before = answered()
    await expect.poll(() => isOver() || answered() - before >= step, { timeout: OVER_MS, interval: 10 }).toBe(true)
    if (isOver()) return
    stack.kill()
    await stack.restart()
  }
  stack.redis.mode('refuse')
  await new Promise((resolve) => setTimeout(resolve, REDIS_AWAY_MS))
  stack.redis.mode('pass')
}

describe('hard budgets under everything at once', () => {
  it(
    'are never overspent, leave nothing held, and can be used to their end',
    async () => {
      const orgs = await Promise.all(Array.from({ length: ORGS }, (_unused, at) => makeOrg(20_260_131 + at)))
      let isOver = false
      const clients = Array.from({ length: CLIENTS }, (_unused, at) => orgs[at % ORGS]).flatMap((org) => org ?? [])
      const working = Promise.all(clients.map(client)).then(() => {
        isOver = true
      })
      await trouble(() => isOver)
      await working
      const rowsOf = async ({ orgId }: Org) =>
        (await stack.query('select * from usage_ledger where org_id = $1', [orgId])).map(usageRow)
      const settle = async (org: Org) => {
        await expect
          .poll(() => booksOf(folder, org.org.id), { timeout: OVER_MS })
          .toMatchObject({ waiting: 0, marks: 0 })
        await expect.poll(() => openCalls(org.orgId), { timeout: OVER_MS }).toEqual([])
      }
      // What a crash has taken is free again when its deadline has passed; then the last can be spent.
      await Promise.all(orgs.map(settle))
      await Promise.all(orgs.map(drain))
      await Promise.all(orgs.map(settle))

      const shares: number[] = []
      for (const org of orgs) {
        const rows = await rowsOf(org)
        const books = booksOf(folder, org.org.id)
        // Every row is counted once, though each was settled twice, and a crash lost none.
        expect(books?.settledNanoUsd).toBe(total(rows))
        expect(new Set(rows.map(({ requestId }) => requestId)).size).toBe(rows.length)
        const known = rows.filter(({ status }) => status !== 'unknown')
        expect(known.filter(({ costNanoUsd, recomputedNanoUsd }) => costNanoUsd !== recomputedNanoUsd)).toEqual([])
        expect(total(rows)).toBeLessThanOrEqual(org.org.capNanoUsd)
        const dear = booksOf(folder, org.model.id)?.settledNanoUsd ?? 0
        expect(dear).toBeGreaterThan(0)
        expect(dear).toBeLessThanOrEqual(org.model.capNanoUsd)
        shares.push(total(rows) / org.org.capNanoUsd)
      }
      console.info(
        `${vendor.requests()} calls of ${CLIENTS} clients, ${ORGS} caps settled to ${shares.map((share) => `${(share * 100).toFixed(2)} %`).join(', ')}`,
      )
      expect(Math.min(...shares)).toBeGreaterThanOrEqual(0.97)
    },
    count(120_000, 900_000),
  )
})

describe('a burst', () => {
  const Spend = z.object({ settled_usd: z.number(), held_usd: z.number() })

  it.each([
    { what: 'whole answers', stream: false },
    { what: 'streams', stream: true },
  ])('of twenty $what against a cap worth twenty of them is let in', async ({ stream }) => {
    const owner = await person(stack)
    const pieces = 120
    const one = { content: `Say something nice. fault:pieces=${pieces},slow=1`, max_tokens: pieces }
    const body = (marker: string) => ({
      model: 'gpt-4o',
      messages: [{ role: 'user', content: one.content }],
      max_tokens: one.max_tokens,
      stream,
      user: marker,
    })
    const priced = await stack.call(owner.accessToken, '/v1/chat/completions', body('p'))
    expect(priced.status, await priced.text()).toBe(200)
    const rows = () => stack.query('select * from usage_ledger where org_id = $1', [owner.orgId])
    await expect.poll(async () => (await rows()).length, { timeout: 10_000 }).toBe(1)
    const cost = Number((await rows())[0]?.cost_nanos)
    const made = await stack.call(owner.accessToken, '/api/v1/budgets', {
      subject_kind: 'org',
      subject_id: owner.orgId,
      window: 'total',
      limit_usd: (21 * cost) / 1e9,
    })
    const { id } = z.object({ id: z.string() }).parse(await made.json())
    const startMs = Date.now()
    let atOnce = 0
    let later = 0
    const caller = async (at: number): Promise<void> => {
      for (let tries = 0; ; tries++) {
        const response = await stack.call(owner.accessToken, '/v1/chat/completions', body(`b${at}`))
        const admittedMs = Date.now() - startMs
        await response.text()
        if (response.status === 200) {
          if (tries === 0) atOnce += 1
          else later += 1
          return
        }
        // Callers try for two seconds, or what a slow machine makes of them.
        if (admittedMs > 2000 && later + atOnce >= 18) return
        if (admittedMs > 15_000) return
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
    await Promise.all(Array.from({ length: 20 }, (_unused, at) => caller(at)))
    console.info(
      `a burst of twenty ${stream ? 'streams' : 'whole answers'}: ${atOnce} at once, ${later} later, after ${Date.now() - startMs} ms`,
    )
    expect(atOnce + later).toBeGreaterThanOrEqual(18)
    const spend = async () =>
      Spend.parse(await (await stack.call(owner.accessToken, `/api/v1/budgets/${id}/spend`)).json())
    await expect.poll(async () => (await spend()).held_usd).toBe(0)
    expect((await spend()).settled_usd).toBeLessThanOrEqual((21 * cost) / 1e9)
  })
})

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import type { Pool } from '@neondatabase/serverless'
import { beforeAll, expect, it } from 'vitest'
import { openHttpDatabase, withDatabase } from '../../scripts/database.ts'
import { drifts, lineOf, recompute } from '../../scripts/recompute.ts'
import { insert } from '../../scripts/seed.ts'
import { newId } from '../../src/core/ids.ts'
import type { LedgerRow } from '../../src/core/ledger.ts'
import { modelOf } from '../../src/features/catalog/service.ts'
import { ledgerRow } from '../support/ledger-row.ts'
import { storesHere } from '../support/stores.ts'

const DAY = '2020-02-29'
const START = Date.UTC(2020, 1, 29) / 1000
const { systemUrl, proxyUrl } = storesHere()
const within = <T>(work: (pool: Pool) => Promise<T>): Promise<T> => withDatabase({ url: systemUrl, proxyUrl }, work)

const database = openHttpDatabase({ url: systemUrl, proxyUrl })

const price_id = modelOf('openai', 'gpt-4o')?.price?.id ?? ''
/** 1000 tokens in, 400 of them cached, and 200 out. */
const counts = { price_id, prompt_tokens: 1000, cached_tokens: 400, completion_tokens: 200 }
const COST = 600 * 2500 + 400 * 1250 + 200 * 10_000

async function orgWith(pool: Pool, rows: readonly Partial<LedgerRow>[]): Promise<string> {
  const { orgId } = await insert(pool, 'pepper', { name: 'Recomputed' })
  const all = rows.map((row) => ({
    ...ledgerRow({ ...counts, created_at: START, ...row }),
    org_id: orgId,
    id: newId('led', Date.now()),
    request_id: newId('req', Date.now()),
  }))
  await pool.query('insert into usage_ledger select * from json_populate_recordset(null::usage_ledger, $1::json)', [
    JSON.stringify(all),
  ])
  return orgId
}

const right = { cost_nanos: COST }
let ids: { exact: string; near: string; off: string; unknown: string }

beforeAll(async () => {
  ids = await within(async (pool) => ({
    exact: await orgWith(pool, [
      right,
      right,
      { cost_nanos: 9, created_at: START - 1 },
      { cost_nanos: 9, created_at: START + 86_400 },
    ]),
    near: await orgWith(pool, [...Array.from({ length: 9 }, () => right), { cost_nanos: COST + 100 }]),
    off: await orgWith(pool, [right, { cost_nanos: COST + 10_000 }]),
    unknown: await orgWith(pool, [
      { cost_nanos: 5, price_id: 'openai/gpt-4o@00000000' },
      { cost_nanos: 7, status: 'unknown' },
      { cost_nanos: 0, price_id: '' },
    ]),
  }))
})

it('finds every row of a day again, and only those', async () => {
  const orgs = new Map((await recompute(database, DAY)).map((org) => [org.orgId, org]))
  const one = (id: string) => orgs.get(id)
  expect(one(ids.exact)).toMatchObject({ rows: 2, charged: BigInt(2 * COST), recomputed: BigInt(2 * COST), wrong: 0 })
  expect(one(ids.near)).toMatchObject({ rows: 10, wrong: 1, recomputed: BigInt(10 * COST) })
  expect(one(ids.off)).toMatchObject({ rows: 2, wrong: 1 })
  expect(one(ids.unknown)).toMatchObject({ rows: 3, charged: 12n, recomputed: 12n, wrong: 0, unknown: 1, unpriced: 1 })
  const drifting = [...orgs.values()].filter(drifts).map(({ orgId }) => orgId)
  expect(drifting).toEqual([ids.off])
  const lines = [...orgs.values()].map(lineOf)
  expect(lines).toContainEqual(
    expect.stringMatching(/^ok {5}org_\w+ {2}rows 3 .* {2}price not known 1 \(openai\/gpt-4o@00000000\)$/),
  )
  expect(lines.find((line) => line.includes(ids.off))).toMatch(
    /^DRIFT {2}org_\w+ {2}rows 2 {2}charged 0\.00801 {2}recomputed 0\.008 {2}wrong 1/,
  )
})

it.each(['2020-02-30x', '2020-02-30', 'yesterday', ''])('knows no day %j', async (day) => {
  await expect(recompute(database, day)).rejects.toThrow(RangeError)
})

it.each([
  { day: DAY, code: 1, says: 'DRIFT' },
  { day: '2019-01-01', code: 0, says: '0 organisations' },
])('ends with $code for $day', async ({ day, code, says }) => {
  const script = join(import.meta.dirname, '../../scripts/recompute.ts')
  const ended = await new Promise<{ code: number; out: string }>((resolve) => {
    const env = { ...process.env, DATABASE_SYSTEM_URL: systemUrl, NEON_PROXY_URL: proxyUrl }
    const child = execFile(process.execPath, [script, '--day', day], { env }, (_error, out) =>
      resolve({ code: child.exitCode ?? -1, out }),
    )
  })
  expect(ended.code).toBe(code)
  expect(ended.out).toContain(says)
})

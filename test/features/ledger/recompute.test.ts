import type { Pool } from '@neondatabase/serverless'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writePrices } from '../../../scripts/catalog/write-prices.ts'
import { openPool } from '../../../scripts/database.ts'
import { insert } from '../../../scripts/seed.ts'
import type { DayTotal, LedgerRow } from '../../../src/core/ledger.ts'
import type { RedisCommand } from '../../../src/core/redis.ts'
import { allPrices, costNanoUsd, modelOf } from '../../../src/features/catalog/service.ts'
import { driftsOf } from '../../../src/features/ledger/drift.ts'
import { ledgerJobs } from '../../../src/features/ledger/jobs.ts'
import { type DayBooks, recomputeDay } from '../../../src/features/ledger/recompute.ts'
import { runJob } from '../../../src/jobs.ts'
import { fakeJobDeps, keptLog } from '../../support/fake-deps.ts'
import { count } from '../../support/lane.ts'
import { ledgerRow } from '../../support/ledger-row.ts'
import { type MigratedPostgres, startMigratedPostgres } from '../../support/migrated-postgres.ts'
import { noCredit } from '../../support/no-credit.ts'

const START = Date.UTC(2026, 0, 30) / 1000
const DAY = '2026-01-30'
/** The night after. */
const DUE_MS = Date.UTC(2026, 0, 31, 2, 30)

let postgres: MigratedPostgres
let made = 0

beforeAll(async () => {
  postgres = await startMigratedPostgres()
})
afterAll(() => postgres?.close())

/** Prices are written by whoever migrates. */
async function asOwner(work: (pool: Pool) => Promise<void>): Promise<void> {
  const pool = openPool({ url: postgres.server.urlFor('helix_owner'), proxyUrl: postgres.server.proxyUrl })
  await work(pool).finally(() => pool.end())
}

async function orgWith(rows: readonly Partial<LedgerRow>[]): Promise<string> {
  const { orgId } = await insert(postgres.pool, 'pepper', { name: 'Recomputed' })
  const all = rows.map((row) => {
    made += 1
    const ids = { org_id: orgId, id: `led_${made}`, request_id: `req_${made}` }
    return { ...ledgerRow({ created_at: START, ...row }), ...ids }
  })
  await postgres.pool.query(
    'insert into usage_ledger select * from json_populate_recordset(null::usage_ledger, $1::json)',
    [JSON.stringify(all)],
  )
  return orgId
}

const price_id = modelOf('openai', 'gpt-4o')?.price?.id ?? ''
/** 1000 tokens in and 200 out. */
const counted = { price_id, prompt_tokens: 1000, completion_tokens: 200 }
const COST = 1000 * 2500 + 200 * 10_000
const right = { ...counted, cost_nanos: COST }

/** A night's run over every organisation, by the job itself and as the application's role. */
async function night(totals: Readonly<Record<string, DayTotal>> = {}) {
  const { log, lines } = keptLog()
  const commands: RedisCommand[] = []
  const { query } = postgres.systemDatabase()
  const refuse = () => Promise.reject(new Error('not asked'))
  const deps = fakeJobDeps({
    log,
    now: () => DUE_MS,
    db: postgres.database(),
    system: { query },
    redis: {
      run: refuse,
      pipeline: async (given) => {
        commands.push(...given)
        return []
      },
    },
    ledgerOf: (orgId) => ({
      ...noCredit,
      hold: refuse,
      extend: refuse,
      release: refuse,
      settle: refuse,
      spend: refuse,
      forgetRun: refuse,
      settledOn: async () => totals[orgId],
    }),
  })
  const [job] = ledgerJobs
  if (!job) throw new Error('there is no such job')
  const outcome = await runJob(deps, job, { dueMs: DUE_MS })
  const of = (orgId: string) =>
    lines.filter(({ facts }) => facts.org_id === orgId).map(({ event, facts }) => ({ event, ...facts }))
  return { outcome, of, commands }
}

const auditOf = async (orgId: string) =>
  (
    await postgres.pool.query(
      `select actor_kind, target_kind, target_id, details from audit_log
       where org_id = $1 and action = 'ledger.drift' order by seq`,
      [orgId],
    )
  ).rows

describe('a day that is computed again', () => {
  it('comes to what was charged, whatever was called and by whichever price', async () => {
    const prices = allPrices().map(({ price }) => price)
    const rows = Array.from({ length: count(300, 6000) }, (_, at) => {
      const price = prices[(at * 37) % prices.length] ?? prices[0]
      const usage = {
        prompt: (at * 7919) % 300_000,
        cached: at % 5 === 0 ? (at * 31) % 1000 : 0,
        cacheWrite: at % 3 === 0 ? (at * 17) % 1000 : 0,
        cacheWriteHour: at % 3 === 0 ? (at * 5) % 17 : 0,
        completion: (at * 13) % 5000,
        reasoning: 0,
      }
      return {
        price_id: price?.id ?? '',
        prompt_tokens: usage.prompt,
        cached_tokens: usage.cached,
        cache_write_tokens: usage.cacheWrite,
        cache_write_1h_tokens: usage.cacheWriteHour,
        completion_tokens: usage.completion,
        cost_nanos: price ? costNanoUsd(price, usage) : 0,
        created_at: START + (at % 86_400),
      }
    })
    const orgId = await orgWith(rows)
    const books = await recomputeDay({ db: postgres.database() }, { orgId, day: DAY })
    const total = rows.reduce((sum, { cost_nanos }) => sum + BigInt(cost_nanos), 0n)
    expect(books).toMatchObject({ rows: rows.length, charged: total, recomputed: total, wrong: 0, unpriced: 0 })
  })

  it('uses prices of catalogs that are long gone, and those of the organisation alone', async () => {
    const figures = { base: { input: 7e6, cachedInput: 7e6, cacheWrite: 7e6, output: 9e6 }, tiers: [] }
    const gone = { id: 'openai/gone@0000abcd', ...figures }
    const counts = { prompt_tokens: 10, completion_tokens: 3, cost_nanos: 97 }
    const owner = await orgWith([
      { ...counts, price_id: gone.id },
      { ...counts, price_id: 'own_1' },
    ])
    const other = await orgWith([{ ...counts, price_id: 'own_1' }])
    await asOwner((pool) => writePrices(pool, [{ price: gone, vendor: 'openai', model: 'gone' }]))
    await postgres.pool.query(
      `insert into own_prices (id, org_id, provider_id, model, figures, created_at) values ('own_1', $1, 'p', 'm', $2, 0)`,
      [owner, JSON.stringify(figures)],
    )
    const db = postgres.database()
    expect(await recomputeDay({ db }, { orgId: owner, day: DAY })).toMatchObject({
      recomputed: 194n,
      wrong: 0,
      unpriced: 0,
    })
    expect(await recomputeDay({ db }, { orgId: other, day: DAY })).toMatchObject({
      unpriced: 1,
      unpricedIds: ['own_1'],
    })
  })

  it('ends when its time is over, and says so', async () => {
    const orgId = await orgWith(Array.from({ length: 23 }, (_, at) => ({ ...right, created_at: START + (at % 3) })))
    const db = postgres.database()
    const wanted = { orgId, day: DAY, pageRows: 10 }
    await expect(recomputeDay({ db }, { ...wanted, isOutOfTime: () => true })).rejects.toThrow('out of time after 10')
    expect(await recomputeDay({ db }, wanted)).toMatchObject({ rows: 23, wrong: 0 })
  })

  it.each(['2026-02-30', '2026-1-3', '', 'today'])('is no day: %j', async (day) => {
    await expect(recomputeDay({ db: postgres.database() }, { orgId: 'org_1', day })).rejects.toThrow(RangeError)
  })
})

describe('the night after', () => {
  it('says nothing of books that agree, and of every organisation apart what does not', async () => {
    const settled = (settledNanoUsd: number, waitingNanoUsd = 0) => ({ settledNanoUsd, waitingNanoUsd })
    const [fine, wrong, lost, late, unpriced] = await Promise.all([
      orgWith([right, { ...right, created_at: START - 1, cost_nanos: 9 }]),
      orgWith([{ ...right, cost_nanos: COST * 2 }]),
      orgWith([right]),
      orgWith([right]),
      orgWith([{ ...right, price_id: 'openai/gpt-4o@00000000' }]),
    ])
    const totals = {
      [fine]: settled(COST),
      [lost]: settled(COST * 3),
      [late]: settled(COST * 3, COST * 2),
    }
    const { outcome, of, commands } = await night(totals)
    expect(outcome.failed).toBe(0)
    expect(of(fine)).toEqual([])
    expect(of(late)).toEqual([])
    expect(of(wrong)).toEqual([
      { event: 'ledger_rows_wrong', org_id: wrong, day: DAY, rows: 1, of: 1 },
      {
        event: 'ledger_drift',
        org_id: wrong,
        day: DAY,
        against: 'prices',
        charged_usd: '0.009',
        expected_usd: '0.0045',
      },
    ])
    expect(of(lost)).toMatchObject([{ event: 'ledger_drift', against: 'ledger', expected_usd: '0.0135' }])
    expect(of(unpriced)).toMatchObject([
      { event: 'ledger_rows_unpriced', rows: 1, price_ids: ['openai/gpt-4o@00000000'] },
    ])
    expect(await auditOf(wrong)).toEqual([
      {
        actor_kind: 'system',
        target_kind: 'day',
        target_id: DAY,
        details: { against: 'prices', charged_usd: '0.009', expected_usd: '0.0045' },
      },
    ])
    const field = (against: string) => `helix_ledger_drift_total{against="${against}"}`
    expect(commands).toContainEqual(['HINCRBY', 'metrics', field('prices'), 1])
    expect(commands).toContainEqual(['HINCRBY', `${lost}:metrics`, field('ledger'), 1])
    expect(commands.filter(([, key]) => key === `${fine}:metrics`)).toEqual([])

    const again = await night(totals)
    expect(again.of(wrong)).toHaveLength(2)
    expect(await auditOf(wrong)).toHaveLength(1)
    expect(again.commands.filter(([, key]) => key === `${wrong}:metrics`)).toEqual([])
  })
})

describe('drift', () => {
  const books = (charged: bigint, recomputed = charged): DayBooks => ({
    rows: 1,
    charged,
    recomputed,
    wrong: 0,
    unknown: 0,
    unpriced: 0,
    unpricedIds: [],
  })
  const against = (day: DayBooks, total?: DayTotal) => driftsOf(day, total).map((drift) => drift.against)

  it('is more than a thousandth of what should be', () => {
    expect(against(books(1_001_000n, 1_000_000n))).toEqual([])
    expect(against(books(1_001_001n, 1_000_000n))).toEqual(['prices'])
    expect(against(books(998_999n, 1_000_000n))).toEqual(['prices'])
    expect(against(books(0n))).toEqual([])
    expect(against(books(1n, 0n))).toEqual(['prices'])
  })

  it('is not what is on its way to Postgres, whether or not it has just arrived there', () => {
    const total = { settledNanoUsd: 3000, waitingNanoUsd: 1000 }
    expect(against(books(2000n), total)).toEqual([])
    expect(against(books(2500n), total)).toEqual([])
    expect(against(books(3000n), total)).toEqual([])
    expect(against(books(1990n), total)).toEqual(['ledger'])
    expect(against(books(3010n), total)).toEqual(['ledger'])
  })
})

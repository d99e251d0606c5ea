/**
 * `npm run recompute` recomputes yesterday's calls from their counts and prices, and compares with what was charged.
 *
 *   --day YYYY-MM-DD   another day (UTC)
 *
 * A line for each organisation; exits with 1 when what one of them was charged is off by more than 0.1 %.
 */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Pool } from '@neondatabase/serverless'
import { usdTextFromNano } from '../src/core/money.ts'
import { costNanoUsd, findPrice } from '../src/features/catalog/service.ts'
import { requireVariable, withDatabase } from './database.ts'

const DAY_MS = 86_400_000
const PAGE = 5000

/** What an organisation was charged on a day, and what its rows come to. All amounts are nano-USD. */
export type Recomputed = {
  orgId: string
  rows: number
  charged: bigint
  recomputed: bigint
  /** Rows whose charge is not what their counts cost. */
  wrong: number
  /** Rows of another catalog, and those that were never heard of: nothing but their charge is known. */
  taken: number
}

/** Drift that is worth an alarm: a thousandth of what was charged. */
const DRIFT_PARTS = 1000n

/** `day` is `YYYY-MM-DD`. Throws `RangeError` for anything else. */
export async function recompute(pool: Pick<Pool, 'query'>, day: string): Promise<Recomputed[]> {
  const fromMs = Date.parse(`${day}T00:00:00Z`)
  if (!/^\d{4}-\d{2}-\d{2}$/.test(day) || Number.isNaN(fromMs)) throw new RangeError(`not a day: ${day}`)
  const orgs = new Map<string, Recomputed>()
  let after = ''
  for (;;) {
    const { rows } = await pool.query(
      `select id, org_id, price_id, status, prompt_tokens, cached_tokens, cache_write_tokens, completion_tokens,
         reasoning_tokens, cost_nanos
       from usage_ledger where created_at >= $1 and created_at < $2 and id > $3 order by id limit $4`,
      [fromMs / 1000, (fromMs + DAY_MS) / 1000, after, PAGE],
    )
    for (const row of rows) add(orgs, row)
    if (rows.length < PAGE) break
    after = String(rows.at(-1)?.id)
  }
  return [...orgs.values()].sort((left, right) => (left.orgId < right.orgId ? -1 : 1))
}

function add(orgs: Map<string, Recomputed>, row: Record<string, unknown>): void {
  const orgId = String(row.org_id)
  const org = orgs.get(orgId) ?? { orgId, rows: 0, charged: 0n, recomputed: 0n, wrong: 0, taken: 0 }
  orgs.set(orgId, org)
  const charged = BigInt(String(row.cost_nanos))
  const cost = costOf(row)
  org.rows += 1
  org.charged += charged
  org.recomputed += cost ?? charged
  if (cost === undefined) org.taken += 1
  else if (cost !== charged) org.wrong += 1
}

/** Undefined for a row whose price this release does not have, or that was charged by its hold. */
function costOf(row: Record<string, unknown>): bigint | undefined {
  if (row.status === 'unknown') return undefined
  // Nobody has told a price for this model: such calls cost nothing.
  if (row.price_id === '') return 0n
  const price = findPrice(String(row.price_id))
  if (!price) return undefined
  const usage = {
    prompt: Number(row.prompt_tokens),
    cached: Number(row.cached_tokens),
    cacheWrite: Number(row.cache_write_tokens),
    completion: Number(row.completion_tokens),
    reasoning: Number(row.reasoning_tokens),
  }
  return BigInt(costNanoUsd(price, usage))
}

export const drifts = ({ charged, recomputed }: Recomputed): boolean => {
  const off = charged > recomputed ? charged - recomputed : recomputed - charged
  return off * DRIFT_PARTS > charged
}

export const lineOf = (org: Recomputed): string =>
  [
    drifts(org) ? 'DRIFT' : 'ok   ',
    org.orgId,
    `rows ${org.rows}`,
    `charged ${usdTextFromNano(org.charged)}`,
    `recomputed ${usdTextFromNano(org.recomputed)}`,
    `wrong ${org.wrong}`,
    `taken as they are ${org.taken}`,
  ].join('  ')

/** The status to exit with. */
export async function main(args: readonly string[], nowMs: number): Promise<number> {
  const yesterday = new Date(nowMs - DAY_MS).toISOString().slice(0, 10)
  const { values } = parseArgs({ args: [...args], options: { day: { type: 'string', default: yesterday } } })
  const where = { url: requireVariable('DATABASE_SYSTEM_URL'), proxyUrl: process.env.NEON_PROXY_URL || undefined }
  const orgs = await withDatabase(where, (pool) => recompute(pool, values.day))
  for (const org of orgs) console.log(lineOf(org))
  console.log(`${values.day}: ${orgs.length} organisations, ${orgs.filter(drifts).length} of them drift`)
  return orgs.some(drifts) ? 1 : 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2), Date.now())
}

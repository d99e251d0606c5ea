/**
 * `npm run recompute` computes yesterday's calls again from their counts and prices, and compares with what was charged.
 *
 *   --day YYYY-MM-DD   another day (UTC)
 *
 * A line for each organisation; exits with 1 when what one of them was charged is off by more than 0.1 %.
 */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { sql } from 'drizzle-orm'
import type { Database } from '../src/core/db.ts'
import { usdTextFromNano } from '../src/core/money.ts'
import { driftsOf } from '../src/features/ledger/drift.ts'
import { type DayBooks, recomputeDay, startOfDay } from '../src/features/ledger/recompute.ts'
import { openHttpDatabase, requireVariable } from './database.ts'

const DAY_MS = 86_400_000

export type Recomputed = DayBooks & { orgId: string }

/**
 * Every organisation that made calls on a day (`YYYY-MM-DD`), as the role that crosses them. Throws `RangeError` for
 * anything else.
 */
export async function recompute(db: Database, day: string): Promise<Recomputed[]> {
  const from = startOfDay(day)
  const orgs = await db.query(
    sql`select distinct org_id from usage_ledger
      where created_at >= ${from} and created_at < ${from + DAY_MS / 1000} order by org_id`,
  )
  const found: Recomputed[] = []
  for (const { org_id } of orgs) {
    const orgId = String(org_id)
    found.push({ orgId, ...(await recomputeDay({ db }, { orgId, day })) })
  }
  return found
}

/** Whether the rows do not come to what was charged; what the ledger objects have settled is for the nightly job. */
export const drifts = (books: DayBooks): boolean => driftsOf(books, undefined).length > 0

export const lineOf = (org: Recomputed): string =>
  [
    drifts(org) ? 'DRIFT' : 'ok   ',
    org.orgId,
    `rows ${org.rows}`,
    `charged ${usdTextFromNano(org.charged)}`,
    `recomputed ${usdTextFromNano(org.recomputed)}`,
    `wrong ${org.wrong}`,
    `never heard of again ${org.unknown}`,
    `price not known ${org.unpriced}${org.unpriced > 0 ? ` (${org.unpricedIds.join(', ')})` : ''}`,
  ].join('  ')

/** The status to exit with. */
export async function main(args: readonly string[], nowMs: number): Promise<number> {
  const yesterday = new Date(nowMs - DAY_MS).toISOString().slice(0, 10)
  const { values } = parseArgs({ args: [...args], options: { day: { type: 'string', default: yesterday } } })
  const where = { url: requireVariable('DATABASE_SYSTEM_URL'), proxyUrl: process.env.NEON_PROXY_URL || undefined }
  const orgs = await recompute(openHttpDatabase(where), values.day)
  for (const org of orgs) console.log(lineOf(org))
  console.log(`${values.day}: ${orgs.length} organisations, ${orgs.filter(drifts).length} of them drift`)
  return orgs.some(drifts) ? 1 : 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2), Date.now())
}

import { sql } from 'drizzle-orm/sql'
import type { Deps } from '../../core/context.ts'
import type { Row } from '../../core/db.ts'
import { costNanoUsd, type Price } from '../catalog/service.ts'
import { prices as catalogPrices } from '../catalog/table.ts'
import { ownPrices } from '../providers/table.ts'

const DAY_SECONDS = 86_400
const PAGE_ROWS = 5000
/** Of the prices that nobody knows, as many are named. */
const NAMED_PRICES = 10

/** What an organisation was charged on a day, and what its rows come to. All amounts are nano-USD. */
export type DayBooks = {
  rows: number
  charged: bigint
  /** A row that cannot be computed counts as it was charged. */
  recomputed: bigint
  /** Rows whose charge is not what their counts cost. */
  wrong: number
  /** Calls that were never heard of again: what they held stands for their cost. */
  unknown: number
  /** Rows whose price is in no table. */
  unpriced: number
  /** Ids of those prices, the first ten. */
  unpricedIds: string[]
}

type Wanted = {
  orgId: string
  /** `YYYY-MM-DD`, UTC. */
  day: string
  /** Asked before each page; the rest is left when it says so. */
  isOutOfTime?: () => boolean
  /** Calls that are read at once; 5,000 unless said. */
  pageRows?: number
}

/** Seconds at which a day begins. Throws `RangeError` for what is no `YYYY-MM-DD`. */
export function startOfDay(day: string): number {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : Number.NaN
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== day) throw new RangeError(`not a day: ${day}`)
  return ms / 1000
}

/**
 * Computes every call of a day again, from its counts and the price that it was charged with, whichever catalog that
 * was of. Throws `RangeError` for what is no day, `DependencyError('postgres')`, and when it runs out of time.
 */
export async function recomputeDay(
  { db }: Pick<Deps, 'db'>,
  { orgId, day, isOutOfTime = () => false, pageRows = PAGE_ROWS }: Wanted,
): Promise<DayBooks> {
  const from = startOfDay(day)
  const ofDay = sql`org_id = ${orgId} and created_at >= ${from} and created_at < ${from + DAY_SECONDS}`
  const page = ({ seconds, id }: { seconds: number; id: string }) =>
    sql`select id, created_at, price_id, status, prompt_tokens, cached_tokens, cache_write_tokens,
        cache_write_1h_tokens, completion_tokens, reasoning_tokens, cost_nanos::text as cost_nanos
      from usage_ledger where ${ofDay} and (created_at, id) > (${seconds}, ${id})
      order by created_at, id limit ${pageRows}`
  const ids = sql`select distinct price_id from usage_ledger where ${ofDay}`
  const [first, listed, own] = await db.atomically(orgId, (query) => [
    query.execute<Row>(page({ seconds: 0, id: '' })),
    query
      .select({ id: catalogPrices.id, figures: catalogPrices.figures })
      .from(catalogPrices)
      .where(sql`${catalogPrices.id} in (${ids})`),
    query
      .select({ id: ownPrices.id, figures: ownPrices.figures })
      .from(ownPrices)
      .where(sql`${ownPrices.org_id} = ${orgId} and ${ownPrices.id} in (${ids})`),
  ])
  const prices = new Map([...listed, ...own].map(({ id, figures }) => [id, { id, ...figures }]))
  const books: DayBooks = {
    rows: 0,
    charged: 0n,
    recomputed: 0n,
    wrong: 0,
    unknown: 0,
    unpriced: 0,
    unpricedIds: [],
  }
  for (let { rows } = first; ; ) {
    for (const row of rows) add(books, row, prices)
    const last = rows.at(-1)
    if (!last || rows.length < pageRows) return books
    if (isOutOfTime()) throw new Error(`out of time after ${books.rows} calls of ${day}`)
    const after = { seconds: Number(last.created_at), id: String(last.id) }
    ;[{ rows }] = await db.atomically(orgId, (query) => [query.execute<Row>(page(after))])
  }
}

function add(books: DayBooks, row: Row, prices: ReadonlyMap<string, Price>): void {
  const charged = BigInt(String(row.cost_nanos))
  const cost = costOf(row, prices)
  books.rows += 1
  books.charged += charged
  books.recomputed += typeof cost === 'bigint' ? cost : charged
  if (cost === 'unknown') books.unknown += 1
  else if (cost === 'unpriced') notePrice(books, String(row.price_id))
  else if (cost !== charged) books.wrong += 1
}

function notePrice(books: DayBooks, id: string): void {
  books.unpriced += 1
  if (books.unpricedIds.length < NAMED_PRICES && !books.unpricedIds.includes(id)) books.unpricedIds.push(id)
}

function costOf(row: Row, prices: ReadonlyMap<string, Price>): bigint | 'unknown' | 'unpriced' {
  if (row.status === 'unknown') return 'unknown'
  // Nobody has told a price for this model: such calls cost nothing.
  if (row.price_id === '') return 0n
  const price = prices.get(String(row.price_id))
  if (!price) return 'unpriced'
  const usage = {
    prompt: Number(row.prompt_tokens),
    cached: Number(row.cached_tokens),
    cacheWrite: Number(row.cache_write_tokens),
    cacheWriteHour: Number(row.cache_write_1h_tokens),
    completion: Number(row.completion_tokens),
    reasoning: Number(row.reasoning_tokens),
  }
  return BigInt(costNanoUsd(price, usage))
}

import type { Pool } from '@neondatabase/serverless'
import { secondsOf } from '../../src/core/clock.ts'
import { pricesAsOf, pricesSource } from '../../src/features/catalog/data.gen.ts'
import { priceRows } from '../../src/features/catalog/price-rows.ts'
import { allPrices, type Price } from '../../src/features/catalog/service.ts'
import type { prices } from '../../src/features/catalog/table.ts'

/** A price and the model that it is of. */
export type PricedModel = { price: Price; vendor: string; model: string }

type PriceTableRow = typeof prices.$inferInsert

/**
 * Keeps every price of this release's catalog as a row, so that calls that were charged with it can be computed again
 * when the catalog has moved on. One that is there already stays as it is.
 * @throws Error when one is there with other figures: then calls could not be told apart any more
 */
export async function writePrices(
  pool: Pick<Pool, 'query'>,
  priced: readonly PricedModel[] = allPrices(),
  nowMs = Date.now(),
): Promise<void> {
  const rows = JSON.stringify(priced.map((each) => rowOf(each, nowMs)))
  await pool.query(
    'insert into prices select * from json_populate_recordset(null::prices, $1::json) on conflict (id) do nothing',
    [rows],
  )
  const { rows: others } = await pool.query<{ id: string }>(
    `select p.id from json_populate_recordset(null::prices, $1::json) given join prices p on p.id = given.id
     where p.figures <> given.figures order by p.id`,
    [rows],
  )
  if (others.length === 0) return
  const ids = others.map(({ id }) => id).join(', ')
  throw new Error(`The database has these prices with other figures than this release's catalog: ${ids}.`)
}

const rowOf = ({ price, vendor, model }: PricedModel, nowMs: number): PriceTableRow => ({
  id: price.id,
  provider: vendor,
  model,
  figures: { base: price.base, tiers: price.tiers },
  valid_from: pricesAsOf,
  source: sourceOf(vendor, model),
  created_at: secondsOf(nowMs),
})

const sourceOf = (vendor: string, model: string): string =>
  priceRows.find((row) => row.vendor === vendor && row.name === model)?.source ??
  (model === '' ? 'nodes are paid for by their owner' : pricesSource)

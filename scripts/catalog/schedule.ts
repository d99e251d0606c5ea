import type { UnitPrices } from './figures.ts'

/** A price list that holds from a date on, or between two hours of each day (UTC). */
export type ScheduledPrices = {
  constraint?: { type: 'start_date'; start_date: string } | { type: 'time_of_date' }
  prices: UnitPrices
}

export type Schedule = { prices: UnitPrices; changesLater: string[] }

/**
 * The price list that holds on a day (`YYYY-MM-DD`). Where the hour of the day decides, the dearest hour's list is
 * taken: a ledger that knows no hours must not show less than the bill.
 */
export function pricesOn(asOf: string, lists: UnitPrices | readonly ScheduledPrices[]): Schedule {
  if (!isScheduled(lists)) return { prices: lists, changesLater: [] }
  const begins = (each: ScheduledPrices): string | undefined =>
    each.constraint?.type === 'start_date' ? each.constraint.start_date : undefined
  const current = lists.filter((each) => (begins(each) ?? '') <= asOf)
  // Later entries win over earlier ones, so hours listed before the last dated list no longer apply.
  const lastDated = current.findLastIndex((each) => each.constraint?.type !== 'time_of_date')
  const candidates = current.slice(Math.max(lastDated, 0))
  const [first, ...others] = candidates
  if (!first) throw new Error('a schedule without a current price list')
  return {
    prices: others.reduce((dearest, each) => dearer(dearest, each.prices), first.prices),
    changesLater: lists.map((each) => begins(each) ?? '').filter((date) => date > asOf),
  }
}

function isScheduled(lists: UnitPrices | readonly ScheduledPrices[]): lists is readonly ScheduledPrices[] {
  return Array.isArray(lists)
}

function dearer(left: UnitPrices, right: UnitPrices): UnitPrices {
  const units = [...new Set([...Object.keys(left), ...Object.keys(right)])]
  const amount = (price: UnitPrices[string]): number => (typeof price === 'object' ? price.base : (price ?? 0))
  const isDearer = units.every((unit) => amount(right[unit]) >= amount(left[unit]))
  const isCheaper = units.every((unit) => amount(right[unit]) <= amount(left[unit]))
  if (!isDearer && !isCheaper) throw new Error('two hours of the day of which neither is the dearer one')
  return isDearer ? right : left
}

import { decodePrice } from '../../src/features/catalog/index-of-vendor.ts'
import type { Price, TokenPrices } from '../../src/features/catalog/types.ts'
import type { Approval } from './approvals.ts'
import type { Row, Table } from './rows.ts'

/** What changes more than this waits for an approval. */
const HELD_BEYOND_PERCENT = 20

type TokenClass = keyof TokenPrices
const classes: readonly TokenClass[] = ['input', 'cachedInput', 'cacheWrite', 'cacheWriteHour', 'output']

/** A class of tokens that costs something else now; prices in nano-USD per million, the change in percent. */
export type ClassChange = { name: TokenClass; abovePromptTokens: number; from: number; to: number; percent: number }

/** What happens to a model of the committed catalog, or that it is new. Prices as the catalog writes them. */
export type Change = { vendor: string; model: string } & (
  | { kind: 'added' | 'removed'; price: string }
  | { kind: 'changed' | 'held'; price: string; classes: readonly ClassChange[] }
)

/** A committed catalog: its tables as text, by vendor. */
export type Committed = readonly (readonly [vendor: string, table: string])[]

/**
 * The tables with every price as it was that would change by more than a fifth and that nobody has approved, and all
 * that changes. Throws when a model becomes a name of another one at a price that is held: no row could have both.
 */
export function holdChanges(
  tables: readonly Table[],
  committed: Committed,
  approved: readonly Approval[],
): { tables: Table[]; changes: Change[] } {
  const before = new Map(committed.map(([vendor, table]) => [vendor, pricesIn(table)]))
  const changes: Change[] = []
  const kept = tables.map((table): Table => {
    const prices = before.get(table.vendor) ?? new Map<string, string>()
    const rows = table.rows.map((row) => {
      const change = changeOf(table.vendor, { row, was: prices.get(row.own) }, approved)
      if (change) changes.push(change)
      return change?.kind === 'held' ? { ...row, price: prices.get(row.own) ?? row.price } : row
    })
    changes.push(...removedFrom(table, prices, approved))
    return { ...table, rows }
  })
  return { tables: kept, changes }
}

/** The price of each model of a table, by its own name. */
function pricesIn(table: string): Map<string, string> {
  return new Map(
    table.split('\n').map((line) => {
      const [names = '', , price = ''] = line.split('|')
      return [bare(names.split(',')[0] ?? ''), price]
    }),
  )
}

const bare = (marked: string): string => marked.replace(/^[*^=]/, '')

function changeOf(
  vendor: string,
  { row, was }: { row: Pick<Row, 'own' | 'price'>; was: string | undefined },
  approved: readonly Approval[],
): Change | undefined {
  const { own: model, price } = row
  if (was === undefined) return { vendor, model, kind: 'added', price }
  if (was === price) return undefined
  const changed = changedClasses(was, price)
  const isHeld = changed.some(({ percent }) => Math.abs(percent) > HELD_BEYOND_PERCENT)
  const isApproved = approved.some((each) => each.model === `${vendor}/${model}` && each.price === price)
  return { vendor, model, kind: isHeld && !isApproved ? 'held' : 'changed', price, classes: changed }
}

function removedFrom({ vendor, rows }: Table, prices: ReadonlyMap<string, string>, approved: readonly Approval[]) {
  const own = new Set(rows.map((row) => row.own))
  return [...prices].flatMap(([model, was]): Change[] => {
    if (own.has(model)) return []
    const other = rows.find(({ names }) => names.some((name) => bare(name) === model))
    const change = other && changeOf(vendor, { row: { own: model, price: other.price }, was }, approved)
    if (change?.kind === 'held') {
      throw new Error(
        `${vendor}/${model} is now a name of ${other?.own}, at another price: approve ${other?.price} for it, or keep it by hand`,
      )
    }
    return [{ vendor, model, kind: 'removed', price: was }]
  })
}

/** Class by class, below the first threshold and above each that either price has. */
export function changedClasses(was: string, is: string): ClassChange[] {
  const [before, after] = [decodePrice('', was), decodePrice('', is)]
  const hasHour = [before, after].some(({ base, tiers }) =>
    [base, ...tiers.map(({ prices }) => prices)].some(({ cacheWriteHour }) => cacheWriteHour !== undefined),
  )
  const compared = hasHour ? classes : classes.filter((name) => name !== 'cacheWriteHour')
  const thresholds = new Set([
    0,
    ...[before, after].flatMap(({ tiers }) => tiers.map((tier) => tier.abovePromptTokens)),
  ])
  return [...thresholds]
    .sort((left, right) => left - right)
    .flatMap((abovePromptTokens) =>
      compared.map((name) => {
        const from = classPrice(pricesAbove(before, abovePromptTokens), name)
        const to = classPrice(pricesAbove(after, abovePromptTokens), name)
        return { name, abovePromptTokens, from, to, percent: percentOf(from, to) }
      }),
    )
    .filter(({ from, to }) => from !== to)
}

const pricesAbove = ({ base, tiers }: Price, threshold: number): TokenPrices =>
  tiers.findLast((tier) => tier.abovePromptTokens <= threshold)?.prices ?? base

const classPrice = (prices: TokenPrices, name: TokenClass): number => prices[name] ?? prices.cacheWrite

/** What was free and is no longer has changed without bound. */
const percentOf = (from: number, to: number): number =>
  from === 0 ? Number.POSITIVE_INFINITY : ((to - from) / from) * 100

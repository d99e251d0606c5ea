/**
 * Shows what compiling the catalog again would change: `node scripts/catalog/refresh.ts`. Nothing is written.
 *
 *   --as-of YYYY-MM-DD   with the prices of another day
 *
 * Exits with 1 when a price is held back until it is approved.
 */
import { parseArgs } from 'node:util'
import { usdTextFromNano } from '../../src/core/money.ts'
import { compileCatalog } from './build.ts'
import type { Change, ClassChange } from './changes.ts'

const marks = { added: '+', removed: '-', changed: '~', held: '!' } as const

/** For people: how many of each kind, then a line for each. Nothing but a sentence when nothing changes. */
export function linesOf(changes: readonly Change[]): string[] {
  if (changes.length === 0) return ['No price changes.']
  const counts = Object.keys(marks).map((kind) => `${changes.filter((change) => change.kind === kind).length} ${kind}`)
  const held = changes.some(({ kind }) => kind === 'held')
  return [
    counts.join(', '),
    ...changes.map(lineOf),
    ...(held
      ? ['! keeps its price: a change by more than 20 % is taken once scripts/catalog/approvals.ts has the new one.']
      : []),
  ]
}

function lineOf(change: Change): string {
  const start = `${marks[change.kind]} ${change.vendor}/${change.model}  ${change.price}`
  return 'classes' in change ? [start, ...change.classes.map(classText)].join('  ') : start
}

function classText({ name, abovePromptTokens, from, to, percent }: ClassChange): string {
  const where = abovePromptTokens === 0 ? '' : ` above ${abovePromptTokens}`
  const sign = percent > 0 ? '+' : ''
  const share = Number.isFinite(percent) ? `${sign}${Number(percent.toFixed(1))} %` : 'no longer free'
  return `${name}${where} ${usdTextFromNano(from)} → ${usdTextFromNano(to)} (${share})`
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { 'as-of': { type: 'string' } } })
  const asOf = values['as-of']
  const { changes } = compileCatalog(asOf === undefined ? {} : { asOf })
  for (const line of linesOf(changes)) console.log(line)
  if (changes.some(({ kind }) => kind === 'held')) process.exitCode = 1
}

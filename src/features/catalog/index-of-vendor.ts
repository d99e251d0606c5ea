import { nanoFromUsd } from '../../core/money.ts'
import { profiles } from './data.gen.ts'
import { traitsFromLetters, traitsOf } from './traits.ts'
import type { CatalogModel, Price, TokenPrices } from './types.ts'

/** Nodes and local servers are paid for by their owner: their tokens cost nothing. */
export const nodePrice: Price = {
  id: 'node@free',
  base: { input: 0, cachedInput: 0, cacheWrite: 0, output: 0 },
  tiers: [],
}

/** How a name may be used: `*` and `^` with a version suffix, `^` only so, `=` a spelling that is never sent. */
type Mark = '' | '*' | '^' | '='
type Entry = { row: number; mark: Mark }

/** The table of one vendor with its names looked up; rows are decoded when they are first asked for. */
export type VendorIndex = {
  vendor: string
  rows: readonly string[]
  decoded: (CatalogModel | undefined)[]
  byName: ReadonlyMap<string, Entry>
  /** Names as they are listed by their lower case, made when a name is first missing. */
  folded: ReadonlyMap<string, string> | undefined
}

/** Reads the names of a table (`names|window|prices|profile|flags` on each line) and leaves the rest as text. */
export function indexTable(vendor: string, table: string): VendorIndex {
  const rows = table.split('\n')
  const byName = new Map<string, Entry>()
  for (const [row, line] of rows.entries()) {
    for (const marked of line.slice(0, line.indexOf('|')).split(',')) {
      const mark = markOf(marked)
      byName.set(marked.slice(mark.length), { row, mark })
    }
  }
  if (vendor === 'openrouter') addBareNames(byName)
  return { vendor, rows, decoded: [], byName, folded: undefined }
}

function markOf(marked: string): Mark {
  const first = marked.charAt(0)
  return first === '*' || first === '^' || first === '=' ? first : ''
}

/** OpenRouter names models `author/model`, and Claude's versions with a dot; the author's own name finds them too. */
function addBareNames(byName: Map<string, Entry>): void {
  for (const [name, { row }] of [...byName]) {
    const bare = name.slice(name.indexOf('/') + 1)
    const spellings = bare.startsWith('claude-') ? [bare, bare.replaceAll('.', '-')] : [bare]
    for (const spelling of spellings) if (!byName.has(spelling)) byName.set(spelling, { row, mark: '=' })
  }
}

const DATE_SUFFIX = /[-@](?:\d{4}-\d{2}-\d{2}|\d{8})$/
const VERSION_SUFFIX =
  /[-@](?:\d{4}-\d{2}-\d{2}|\d{2}-\d{2}-\d{4}|\d{2}-\d{2,4}|\d{8}|\d{3,4}|latest|preview|exp|experimental|thinking)$/
const MAX_SUFFIXES = 3

/** The model of a name in any case; a dated or versioned name that is not listed has the figures of its family. */
export function findModel(index: VendorIndex, name: string): CatalogModel | undefined {
  const found = findSpelled(index, name)
  if (found) return found
  const lower = name.toLowerCase()
  index.folded ??= new Map([...index.byName.keys()].map((listed) => [listed.toLowerCase(), listed]))
  const listed = index.folded.get(lower) ?? lower
  return listed === name ? undefined : findSpelled(index, listed)
}

function findSpelled(index: VendorIndex, name: string): CatalogModel | undefined {
  const exact = index.byName.get(name)
  if (exact) return modelAs(index, exact.row, exact.mark === '=' || exact.mark === '^' ? undefined : name)
  const family = index.byName.get(name.replace(DATE_SUFFIX, ''))
  if (family && family.mark !== '=') return modelAs(index, family.row, name)
  let stem = name
  for (let suffix = 0; suffix < MAX_SUFFIXES; suffix += 1) {
    const shorter = stem.replace(VERSION_SUFFIX, '')
    if (shorter === stem) return undefined
    stem = shorter
    const entry = index.byName.get(stem)
    if (entry?.mark === '*' || entry?.mark === '^') return modelAs(index, entry.row, name)
  }
  return undefined
}

/** All models of the vendor, each once, under the name that the vendor prefers. */
export function allModels(index: VendorIndex): CatalogModel[] {
  return index.rows.map((_, row) => modelAs(index, row, undefined)).filter((model) => model !== undefined)
}

/** The model of a row under its own name, or under another name that the vendor takes for it. */
function modelAs(index: VendorIndex, row: number, name: string | undefined): CatalogModel | undefined {
  const model = index.decoded[row] ?? decodeRow(index.vendor, index.rows[row])
  if (!model) return undefined
  index.decoded[row] = model
  if (name === undefined || name === model.name) return model
  const traits = traitsOf(name)
  return { ...model, ...traits, maxOutputTokens: least(traits.maxOutputTokens, model.contextWindow), name }
}

function least(limit: number | undefined, contextWindow: number | undefined): number | undefined {
  return limit === undefined || contextWindow === undefined ? limit : Math.min(limit, contextWindow)
}

function decodeRow(vendor: string, line: string | undefined): CatalogModel | undefined {
  if (line === undefined) return undefined
  const [names = '', contextWindow = '', price = '', profile = '', flags = ''] = line.split('|')
  const [first = ''] = names.split(',')
  const name = first.slice(markOf(first).length)
  const [letters = '', maxOutput = '', image = '', quality = '', latency = ''] = (
    profiles[Number(profile)] ?? ''
  ).split(',')
  return {
    ...traitsFromLetters(letters, optionalNumber(maxOutput), optionalNumber(image)),
    name,
    vendor,
    contextWindow: optionalNumber(contextWindow),
    price: decodePrice(`${vendor}/${name}`, price),
    prior: quality === '' ? undefined : { quality: Number(quality), latencySeconds: Number(latency) },
    ...(flags.includes('d') ? { deprecated: true } : {}),
  }
}

function optionalNumber(text: string): number | undefined {
  return text === '' ? undefined : Number(text)
}

/** The price that a table's text says; `-` is that of nodes, whatever the model. */
export function decodePrice(model: string, text: string): Price {
  if (text === '-') return nodePrice
  const [base = '', ...tiers] = text.split(';')
  return {
    id: `${model}@${fingerprint(text)}`,
    base: decodePrices(base),
    tiers: tiers.map((tier) => {
      const [threshold = '', prices = ''] = tier.split(':')
      return { abovePromptTokens: Number(threshold), prices: decodePrices(prices) }
    }),
  }
}

function decodePrices(text: string): TokenPrices {
  const [input = '', ...others] = text.split(',')
  const inputNano = nanoFromUsd(`0${input}`)
  const [cachedInput = inputNano, cacheWrite = inputNano, output = inputNano, cacheWriteHour] = others.map((usd) =>
    usd === '' ? inputNano : nanoFromUsd(`0${usd}`),
  )
  return { input: inputNano, cachedInput, cacheWrite, output, ...(cacheWriteHour !== undefined && { cacheWriteHour }) }
}

/** FNV-1a over the figures: tells two price rows of one model apart, nothing more. */
function fingerprint(text: string): string {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}

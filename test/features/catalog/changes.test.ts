import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Approval, approvals } from '../../../scripts/catalog/approvals.ts'
import { compileCatalog } from '../../../scripts/catalog/build.ts'
import { changedClasses, holdChanges } from '../../../scripts/catalog/changes.ts'
import { linesOf } from '../../../scripts/catalog/refresh.ts'
import type { Row, Table } from '../../../scripts/catalog/rows.ts'

const row = (own: string, price: string, names: string[] = [own]): Row => ({
  own,
  names,
  contextWindow: undefined,
  price,
  traits: '',
  isRetired: false,
})
const table = (...rows: Row[]): Table => ({ vendor: 'acme', rows, remarks: [] })
const committed = (...lines: string[]) => [['acme', lines.join('\n')] as const]
const approval = (model: string, price: string): Approval => ({
  model,
  price,
  by: 'a person',
  on: '2026-11-21',
  source: 'https://example.com',
})

const pricesOf = (tables: readonly Table[]) => tables.flatMap(({ rows }) => rows.map(({ own, price }) => [own, price]))

describe('a price that changes', () => {
  it('by a fifth or less is taken, in either direction', () => {
    const given = table(row('up', '1.2,,,4.8'), row('down', '.8,,,3.2'), row('same', '1'))
    const { tables, changes } = holdChanges([given], committed('up||1,,,4|0', '*down||1,,,4|0', 'same||1|0'), [])
    expect(tables).toEqual([given])
    expect(changes.map(({ model, kind }) => [model, kind])).toEqual([
      ['up', 'changed'],
      ['down', 'changed'],
    ])
  })

  it.each([
    ['of the input', '1.21,,,4'],
    ['downwards', '.79,,,4'],
    ['of the output', '1,,,4.81'],
    ['of cached input alone', '1,.5,,4'],
    ['of cache writes of an hour alone', '1,,,4,2'],
    ['above a threshold that is new', '1,,,4;128000:2,,,8'],
  ])('by more %s keeps what it was', (_what, price) => {
    const { tables, changes } = holdChanges([table(row('m', price))], committed('m||1,,,4|0'), [])
    expect(pricesOf(tables)).toEqual([['m', '1,,,4']])
    expect(changes).toMatchObject([{ vendor: 'acme', model: 'm', kind: 'held', price }])
  })

  it('by more is taken once that very price is approved', () => {
    const given = table(row('m', '2'))
    const was = committed('m||1|0')
    expect(pricesOf(holdChanges([given], was, [approval('acme/m', '3')]).tables)).toEqual([['m', '1']])
    expect(pricesOf(holdChanges([given], was, [approval('other/m', '2')]).tables)).toEqual([['m', '1']])
    const { tables, changes } = holdChanges([given], was, [approval('acme/m', '2')])
    expect(pricesOf(tables)).toEqual([['m', '2']])
    expect(changes).toMatchObject([{ kind: 'changed' }])
  })

  it('from nothing to something waits, and says that it is no longer free', () => {
    const { changes } = holdChanges([table(row('m', '1'))], committed('m||-|0'), [])
    expect(changes).toMatchObject([{ kind: 'held' }])
    expect(linesOf(changes)[1]).toContain('input 0 → 1 (no longer free)')
  })

  it('because its model became a name of another stops the build until it is approved', () => {
    const given = table(row('new', '3', ['new', '=old']))
    const was = committed('old||1|0', 'new||3|0')
    expect(() => holdChanges([given], was, [])).toThrow('acme/old is now a name of new')
    expect(holdChanges([given], was, [approval('acme/old', '3')]).changes).toMatchObject([{ kind: 'removed' }])
    expect(holdChanges([given], committed('old||3|0', 'new||3|0'), []).changes).toMatchObject([{ kind: 'removed' }])
  })

  it('is compared class by class at every threshold of either price', () => {
    expect(changedClasses('1,.1,,4;200000:2,.2,,6', '1,.1,,5;272000:2,.2,,6')).toEqual([
      { name: 'output', abovePromptTokens: 0, from: 4e9, to: 5e9, percent: 25 },
      { name: 'input', abovePromptTokens: 200_000, from: 2e9, to: 1e9, percent: -50 },
      { name: 'cachedInput', abovePromptTokens: 200_000, from: 0.2e9, to: 0.1e9, percent: -50 },
      { name: 'cacheWrite', abovePromptTokens: 200_000, from: 2e9, to: 1e9, percent: -50 },
      { name: 'output', abovePromptTokens: 200_000, from: 6e9, to: 5e9, percent: expect.closeTo(-16.67, 1) },
    ])
  })
})

describe('what a person reads', () => {
  it('names what is added, removed, changed and held, with the change in percent', () => {
    const given = table(row('new', '1'), row('up', '1.1'), row('far', '3'))
    const { changes } = holdChanges([given], committed('up||1|0', 'far||1|0', 'gone||1|0'), [])
    expect(linesOf(changes)).toEqual([
      '1 added, 1 removed, 1 changed, 1 held',
      '+ acme/new  1',
      expect.stringMatching(/^~ acme\/up {2}1\.1 {2}input 1 → 1\.1 \(\+10 %\) {2}/),
      expect.stringMatching(/^! acme\/far {2}3 {2}input 1 → 3 \(\+200 %\) {2}/),
      '- acme/gone  1',
      expect.stringContaining('approvals.ts'),
    ])
    expect(linesOf([])).toEqual(['No price changes.'])
  })

  it('is what the script prints', () => {
    const root = join(import.meta.dirname, '../../..')
    const { stdout } = spawnSync(process.execPath, ['--no-warnings', 'scripts/catalog/refresh.ts'], { cwd: root })
    expect(stdout.toString()).toBe(`${linesOf(compileCatalog().changes).join('\n')}\n`)
  })
})

describe('the real catalog', () => {
  it('compiles to itself but for what is held, and holds what another day would have changed by far', () => {
    expect(compileCatalog().changes.filter(({ kind }) => kind !== 'held')).toEqual([])
    const earlier = compileCatalog({ asOf: '2025-06-01' })
    const held = earlier.changes.filter(({ kind }) => kind === 'held')
    expect(held.map(({ vendor, model }) => `${vendor}/${model}`)).toContain('anthropic/claude-sonnet-4-6')
    expect(earlier.text).toContain('*claude-sonnet-4-6,=claude-sonnet-4.6|1000000|3,.3,3.75,15,6|')
  })

  it('has approvals that say who, when and where', () => {
    for (const each of approvals) {
      expect(each.source, each.model).toMatch(/^https:\/\//)
      expect(each.on, each.model).toMatch(/^\d{4}-\d{2}-\d{2}$/)
      expect(each.by, each.model).not.toBe('')
    }
  })
})

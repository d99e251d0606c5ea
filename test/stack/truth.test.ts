import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FakeVendor, startFakeVendor, type TruthRow } from '../support/fake-vendor/server.ts'
import { count } from '../support/lane.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { booksOf, openCalls, type UsageRow, usageRow } from './truth-books.ts'
import { settledTwice } from './truth-ledger-calls.ts'
import { type Made, makeTraffic } from './truth-traffic.ts'

const TOTAL = count(300, 20_000)

let stack: Stack
let vendor: FakeVendor
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'helix-truth-'))
  vendor = await startFakeVendor()
  const jobs = await readFile(join(import.meta.dirname, '../../.build/jobs/index.js'), 'utf8')
  stack = await startStack({
    vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url },
    persistTo: folder,
    jobsScript: settledTwice(jobs),
  })
})
afterAll(async () => {
  await stack?.close()
  await vendor?.close()
  await rm(folder, { recursive: true, force: true })
})

type Compared = Made & { row: UsageRow; prompt: number; completion: number; reported: boolean }

/** Each call beside its row and beside what its vendor wrote for it, retries added up. */
function compare(made: readonly Made[], rows: readonly UsageRow[], truth: readonly TruthRow[]): Compared[] {
  const rowOf = new Map(rows.map((row) => [row.requestId, row]))
  const truthOf = Map.groupBy(truth, ({ marker }) => marker)
  return made.flatMap((call) => {
    const row = rowOf.get(call.requestId ?? '')
    const tries = truthOf.get(call.marker) ?? []
    if (!row) return []
    const sum = (field: 'prompt' | 'completion') => tries.reduce((total, one) => total + one[field], 0)
    const reported = tries.some((one) => one.usageReported && one.finished)
    return [{ ...call, row, prompt: sum('prompt'), completion: sum('completion'), reported }]
  })
}

const total = <T>(items: readonly T[], of: (item: T) => number) => items.reduce((sum, item) => sum + of(item), 0)

/** Ours and the vendor's counts, for whoever looks for the reason of a difference. */
const byKind = (compared: readonly Compared[]) =>
  [...Map.groupBy(compared, ({ kind }) => kind)].map(([kind, ones]) => ({
    kind,
    calls: ones.length,
    prompt: total(ones, ({ row }) => row.prompt),
    promptOfVendor: total(ones, ({ prompt }) => prompt),
    completion: total(ones, ({ row }) => row.completion),
    completionOfVendor: total(ones, ({ completion }) => completion),
  }))

describe('the ledger', () => {
  it(
    'holds the truth about every call, whatever became of it',
    async () => {
      const { apiKey, orgId, budgetId = '' } = await stack.org({ budgetUsd: 10_000 })
      const made = await makeTraffic(stack, apiKey, { total: TOTAL, atOnce: 12, seed: 20_260_131 })
      const reached = new Set(vendor.truth().map(({ marker }) => marker))
      const fetchRows = () => stack.query('select * from usage_ledger where org_id = $1', [orgId])
      await expect.poll(async () => (await fetchRows()).length, { timeout: 15_000 }).toBe(reached.size)
      const rows = (await fetchRows()).map(usageRow)
      const compared = compare(made, rows, vendor.truth())

      // Every call that reached the vendor has one row, and no other call has any.
      expect(compared).toHaveLength(rows.length)
      expect(compared.filter(({ marker }) => !reached.has(marker))).toEqual([])

      // Where the vendor told its usage to the end, nothing differs.
      const exact = compared.filter(({ reported }) => reported)
      expect(exact.length).toBeGreaterThan(TOTAL * 0.4)
      const wrong = exact.filter(
        ({ row, ...truth }) => row.estimated || row.prompt !== truth.prompt || row.completion !== truth.completion,
      )
      expect(wrong).toEqual([])

      // Where it did not, the counts are ours, and close.
      const unanswered = compared.filter(({ kind }) => kind === 'never answered')
      const counted = compared.filter((one) => one.row.estimated && !unanswered.includes(one))
      expect(counted.length).toBeGreaterThan(TOTAL * 0.2)
      const offBy = (ours: (one: Compared) => number, theirs: (one: Compared) => number) =>
        total(counted, ours) / total(counted, theirs) - 1
      const off = {
        tokens: offBy(
          ({ row }) => row.prompt + row.completion,
          ({ prompt, completion }) => prompt + completion,
        ),
        cost: offBy(
          ({ row }) => row.costNanoUsd,
          ({ row, prompt, completion }) => row.costOf(prompt, completion),
        ),
      }
      console.info(`${rows.length} rows: ${exact.length} exact, ${counted.length} counted by us and off by`, off)
      if (process.env.HELIX_SHOW_KINDS) console.table(byKind(counted))
      expect(Math.abs(off.tokens)).toBeLessThan(0.02)
      expect(Math.abs(off.cost)).toBeLessThan(0.02)

      // A vendor that never answers is taken to bill what it has read, though the one of these tests does not.
      const misread = unanswered.filter(({ row }) => !row.estimated || row.prompt === 0 || row.completion > 0)
      expect(misread).toEqual([])

      // The rest cost nothing, for nothing was written.
      const rest = compared.filter(({ row, reported }) => !row.estimated && !reported)
      expect(rest.filter(({ row, prompt, completion }) => row.costNanoUsd + prompt + completion > 0)).toEqual([])

      // Every row can be computed again, and the budget is their sum, though every call was settled twice.
      expect(rows.filter(({ costNanoUsd, recomputedNanoUsd }) => costNanoUsd !== recomputedNanoUsd)).toEqual([])
      const settledNanoUsd = total(rows, ({ costNanoUsd }) => costNanoUsd)
      expect(settledNanoUsd).toBeGreaterThan(0)
      await expect
        .poll(() => booksOf(folder, budgetId), { timeout: 5000 })
        .toEqual({ settledNanoUsd, waiting: 0, marks: 0 })
      expect(await openCalls(orgId)).toEqual([])
    },
    count(60_000, 1_800_000),
  )
})

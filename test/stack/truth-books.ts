import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createRedis, createUpstash } from '../../src/adapters/upstash.ts'
import { redisKeys } from '../../src/features/admission/keys.ts'
import { costNanoUsd, findPrice } from '../../src/features/catalog/service.ts'
import { storesHere } from '../support/stores.ts'

/** A row of `usage_ledger` as Postgres' driver gives it: big integers are text. */
export type UsageRow = {
  requestId: string
  status: string
  operation: string
  prompt: number
  completion: number
  costNanoUsd: number
  estimated: boolean
  /** What its counts cost by the price that it names. */
  recomputedNanoUsd: number
  /** What other counts would have cost. */
  costOf: (prompt: number, completion: number) => number
}

export function usageRow(row: Record<string, unknown>): UsageRow {
  const usage = {
    prompt: Number(row.prompt_tokens),
    cached: Number(row.cached_tokens),
    cacheWrite: Number(row.cache_write_tokens),
    completion: Number(row.completion_tokens),
    reasoning: Number(row.reasoning_tokens),
  }
  const price = findPrice(String(row.price_id))
  if (!price) throw new Error(`no such price: ${row.price_id}`)
  return {
    requestId: String(row.request_id),
    status: String(row.status),
    operation: String(row.operation),
    prompt: usage.prompt,
    completion: usage.completion,
    costNanoUsd: Number(row.cost_nanos),
    estimated: row.estimated === true,
    recomputedNanoUsd: costNanoUsd(price, usage),
    costOf: (prompt, completion) => costNanoUsd(price, { prompt, cached: 0, cacheWrite: 0, completion, reasoning: 0 }),
  }
}

/** What a ledger object has written of a budget: settled money, waiting rows and the marks of open holds. */
export type Books = { settledNanoUsd: number; waiting: number; marks: number }

/** Reads the storage of the objects under a folder, wherever one knows the budget. */
export function booksOf(folder: string, budgetId: string): Books | undefined {
  for (const file of sqliteFiles(folder)) {
    const database = new DatabaseSync(file, { readOnly: true })
    try {
      const number = (text: string, ...values: string[]) =>
        Number(Object.values(database.prepare(text).get(...values) ?? {})[0])
      if (number("select count(*) from sqlite_master where name = 'spent'") === 0) continue
      if (number('select count(*) from spent where budget_id = ?', budgetId) === 0) continue
      return {
        settledNanoUsd: number('select sum(nanos) from spent where budget_id = ?', budgetId),
        waiting: number('select count(*) from outbox where flushed_ms is null'),
        marks: number('select count(*) from marks'),
      }
    } finally {
      database.close()
    }
  }
  return undefined
}

function sqliteFiles(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.sqlite'))
    .map((name) => join(folder, name))
}

/** The calls that Redis lists as holding money. */
export async function openCalls(orgId: string): Promise<unknown> {
  const { redisUrl: url, redisToken: token } = storesHere()
  const [reply] = await createRedis(createUpstash({ url, token })).pipeline([['HVALS', redisKeys.open(orgId)]])
  return reply
}

import type { LedgerNamespace, LedgerObject } from '../../src/adapters/ledger.ts'
import type { DecisionRow } from '../../src/core/decision.ts'
import type { BudgetRef, HoldRequest, LedgerBooks, LedgerRow, SettledCall } from '../../src/core/ledger.ts'

export type MemoryLedger = LedgerNamespace & {
  /** Every settled row, in order. */
  rows(): readonly LedgerRow[]
  /** The decisions that came with them. */
  decisions(): readonly DecisionRow[]
  openHolds(): number
  /** Nano-USD held at the moment, over all calls. */
  heldNanoUsd(): number
  /** Settled calls that came, alone or with others, each time it came. */
  settlements(): number
  /** Calls of the object by method. */
  calls(): Readonly<Record<keyof LedgerBooks, number>>
  /** While true the object does not answer. */
  away(isAway: boolean): void
}

const counts = [
  'prompt_tokens',
  'cached_tokens',
  'cache_write_tokens',
  'completion_tokens',
  'reasoning_tokens',
  'cost_nanos',
  'attempts',
  'latency_ms',
] as const

/**
 * The ledger objects of all organisations in one memory. It refuses what the real ones and Postgres behind them do:
 * arguments that cannot be cloned to another isolate, counts that are no whole numbers, parts larger than their whole,
 * a second settlement, and holds beyond a budget. Every window is a total.
 */
export function memoryLedger(): MemoryLedger {
  const rows = new Map<string, LedgerRow>()
  const decisions: DecisionRow[] = []
  const holds = new Map<string, HoldRequest>()
  const reserved = new Map<string, number>()
  const spent = new Map<string, number>()
  const calls = { hold: 0, extend: 0, release: 0, settle: 0, spend: 0, settledOn: 0, forgetRun: 0 }
  let settlements = 0
  let isAway = false

  const reserve = (budgets: readonly BudgetRef[], amount: number) => {
    if (!Number.isSafeInteger(amount) || amount < 0) throw new TypeError(`no amount of money: ${amount}`)
    for (const { id, limitNanoUsd } of budgets) {
      const remaining = limitNanoUsd - (spent.get(id) ?? 0) - (reserved.get(id) ?? 0)
      if (amount > remaining) {
        return { ok: false as const, budgetId: id, remainingNanoUsd: Math.max(0, remaining) }
      }
    }
    for (const { id } of budgets) reserved.set(id, (reserved.get(id) ?? 0) + amount)
    return { ok: true as const }
  }
  const release = (requestId: string): void => {
    const hold = holds.get(requestId)
    holds.delete(requestId)
    for (const { id } of hold?.budgets ?? []) reserved.set(id, (reserved.get(id) ?? 0) - (hold?.amountNanoUsd ?? 0))
  }
  const enter = <T>(method: keyof LedgerBooks, argument: T): T => {
    calls[method] += 1
    if (isAway) throw new Error('the object is away')
    return structuredClone(argument)
  }

  const settleOne = ({ rowText, budgets, request_id, cost_nanos, created_at }: SettledCall): boolean => {
    settlements += 1
    const { decision, request: _request, measured: _measured, ...row } = JSON.parse(rowText)
    checkRow(row)
    if (row.request_id !== request_id || row.cost_nanos !== cost_nanos || row.created_at !== created_at) {
      throw new TypeError('a settled call is not what its row says')
    }
    release(row.request_id)
    if (rows.has(row.request_id)) return false
    rows.set(row.request_id, row)
    if (decision) decisions.push(decision)
    for (const { id } of budgets) spent.set(id, (spent.get(id) ?? 0) + row.cost_nanos)
    return true
  }

  const object: LedgerObject = {
    async hold(given) {
      const request: HoldRequest = JSON.parse(enter('hold', given))
      if (holds.has(request.facts.request_id)) return { ok: true }
      const answer = reserve(request.budgets, request.amountNanoUsd)
      if (answer.ok) holds.set(request.facts.request_id, request)
      return answer
    },
    async extend(given) {
      const { requestId, budgets, amountNanoUsd } = enter('extend', given)
      const answer = reserve(budgets, amountNanoUsd)
      const hold = holds.get(requestId)
      if (answer.ok && hold) hold.amountNanoUsd += amountNanoUsd
      return answer
    },
    async release(requestId) {
      release(enter('release', requestId))
    },
    async settle(given) {
      return enter('settle', given).map(settleOne)
    },
    async spend(given) {
      return enter('spend', given).map(({ id }) => {
        return { id, settledNanoUsd: spent.get(id) ?? 0, heldNanoUsd: reserved.get(id) ?? 0 }
      })
    },
    async settledOn(day) {
      enter('settledOn', day)
      return undefined
    },
    async forgetRun(runId) {
      enter('forgetRun', runId)
    },
  }

  return {
    getByName: () => object,
    rows: () => [...rows.values()],
    decisions: () => decisions,
    openHolds: () => holds.size,
    heldNanoUsd: () => [...holds.values()].reduce((sum, { amountNanoUsd }) => sum + amountNanoUsd, 0),
    settlements: () => settlements,
    calls: () => calls,
    away: (absent) => {
      isAway = absent
    },
  }
}

function checkRow(row: LedgerRow): void {
  for (const name of counts) {
    if (!Number.isSafeInteger(row[name]) || row[name] < 0) throw new TypeError(`${name} is ${row[name]}`)
  }
  if (row.cached_tokens + row.cache_write_tokens > row.prompt_tokens) throw new TypeError('more cached than asked')
  if (row.reasoning_tokens > row.completion_tokens) throw new TypeError('more reasoning than output')
  if (row.ttft_ms !== null && (!Number.isSafeInteger(row.ttft_ms) || row.ttft_ms < 0)) {
    throw new TypeError(`ttft_ms is ${row.ttft_ms}`)
  }
}

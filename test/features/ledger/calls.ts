import type { BudgetRef, HoldRequest, LedgerRow, OrgLedger, Settlement } from '../../../src/core/ledger.ts'
import { createBook } from '../../../src/features/ledger/book.ts'
import type { LedgerStorage } from '../../../src/features/ledger/service.ts'
import { settledCallOf } from '../../../src/features/ledger/settled-call.ts'

export const NOON = Date.UTC(2026, 0, 31, 12)
export const DAY_MS = 86_400_000

export const budgetOf = (
  limitNanoUsd: number,
  window: BudgetRef['window'] = 'total',
  id = `bud_${window}`,
): BudgetRef => ({
  id,
  window,
  limitNanoUsd,
})

export const factsOf = (requestId: string) => ({
  request_id: requestId,
  org_id: 'org_1',
  key_id: 'key_1',
  user_id: null,
  agent_id: null,
  run_id: null,
  operation: 'chat' as const,
  provider: 'openai',
  model: 'gpt-4o',
  price_id: 'price-1',
  prices_hash: 'hash-1',
})

type Held = { budgets: readonly BudgetRef[]; amountNanoUsd: number; deadlineMs?: number }

export const holdOf = (
  requestId: string,
  { budgets, amountNanoUsd, deadlineMs = NOON + 60_000 }: Held,
): HoldRequest => ({
  facts: factsOf(requestId),
  amountNanoUsd,
  deadlineMs,
  budgets,
})

export const rowOf = (requestId: string, costNanoUsd: number): LedgerRow => ({
  ...factsOf(requestId),
  id: `led_${requestId}`,
  status: 'ok',
  prompt_tokens: 10,
  cached_tokens: 0,
  cache_write_tokens: 0,
  completion_tokens: 5,
  reasoning_tokens: 0,
  cost_nanos: costNanoUsd,
  estimated: false,
  attempts: 1,
  latency_ms: 120,
  ttft_ms: null,
  error_code: null,
  stream: false,
  created_at: Math.floor(NOON / 1000),
})

export const settlementOf = (
  requestId: string,
  costNanoUsd: number,
  budgets: readonly BudgetRef[] = [],
): Settlement => ({ row: rowOf(requestId, costNanoUsd), budgets, tokenCorrections: [], counters: [] })

/** False where the call was booked before. */
export async function settleOne(ledger: Pick<OrgLedger, 'settle'>, settlement: Settlement): Promise<boolean> {
  const [booked] = await ledger.settle([settledCallOf(settlement)])
  return booked === true
}

/** A book that has opened these budgets, as its ledger does before it uses them. */
export function bookOver(
  storage: LedgerStorage,
  { graceMs, budgets }: { graceMs: number; budgets: readonly BudgetRef[] },
) {
  const book = createBook(storage, { graceMs })
  for (const budget of book.unopened(budgets)) book.open(budget, new Map(), NOON)
  return book
}

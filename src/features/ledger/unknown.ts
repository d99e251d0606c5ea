import * as z from 'zod'
import { secondsOf } from '../../core/clock.ts'
import { type HoldRequest, ledgerOperations, type Settlement } from '../../core/ledger.ts'
import { budgetsFor } from '../budgets/service.ts'

/** An entry of the list of open calls, as admission wrote it. */
const OpenCall = z.object({
  facts: z.object({
    request_id: z.string(),
    org_id: z.string(),
    key_id: z.string(),
    // Absent in entries of an earlier release.
    user_id: z.string().nullable().default(null),
    agent_id: z.string().nullable().default(null),
    run_id: z.string().nullable().default(null),
    operation: z.enum(ledgerOperations),
    provider: z.string(),
    model: z.string(),
    price_id: z.string(),
    prices_hash: z.string(),
    parent_request_id: z.string().exactOptional(),
  }),
  amountNanoUsd: z.int(),
  deadlineMs: z.number(),
  creditId: z.string().exactOptional(),
  budgets: z.array(
    z.object({
      id: z.string(),
      window: z.enum(['total', 'day', 'month', 'rolling_30d']),
      limitNanoUsd: z.int(),
      model: z.string().exactOptional(),
      soft: z.literal(true).exactOptional(),
      softPercent: z.array(z.int()).exactOptional(),
    }),
  ),
})

export function readOpenCall(text: string): HoldRequest | undefined {
  try {
    return OpenCall.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** The row of a call that was never heard of again: its cost is bounded by what it held. */
export function unknownSettlement(call: HoldRequest, id: string, nowMs: number): Settlement {
  return {
    row: {
      ...call.facts,
      id,
      status: 'unknown',
      prompt_tokens: 0,
      cached_tokens: 0,
      cache_write_tokens: 0,
      completion_tokens: 0,
      reasoning_tokens: 0,
      cost_nanos: call.amountNanoUsd,
      estimated: true,
      attempts: 0,
      latency_ms: 0,
      ttft_ms: null,
      error_code: 'unknown',
      stream: false,
      created_at: secondsOf(nowMs),
    },
    // Which of its targets answered is not known: its row names the first of them.
    budgets: budgetsFor(call.budgets, [
      { provider: call.facts.provider, model: call.facts.model, priceId: call.facts.price_id },
    ]),
    tokenCorrections: [],
    counters: [],
  }
}

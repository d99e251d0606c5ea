import type { SettledCall, Settlement } from '../../core/ledger.ts'

/** A settlement as it travels to the ledger. */
export const settledCallOf = (settlement: Settlement): SettledCall => {
  const { row, budgets, tokenCorrections, counters } = settlement
  const { request_id, parent_request_id, cost_nanos, created_at } = row
  return {
    request_id,
    // Said of few calls, and `undefined` is not nothing when it travels.
    ...(parent_request_id != null && { parent_request_id }),
    cost_nanos,
    created_at,
    budgets,
    rowText: rowTextOf(settlement),
    correctionsText: JSON.stringify(tokenCorrections),
    countersText: JSON.stringify(counters),
  }
}

/**
 * A row as JSON that Postgres takes: its text knows neither NUL nor half a surrogate pair, and one such name from a
 * caller must not keep a whole batch from being written.
 */
function rowTextOf({ row, request, decision, measured }: Settlement): string {
  const whole = { ...row, request, decision, measured }
  const text = JSON.stringify(whole)
  // What Postgres refuses is an escape in JSON, and rare: a look at each value costs ten times as much.
  if (!text.includes('\\u')) return text
  return JSON.stringify(whole, (_name, value: unknown) =>
    typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\ufffd') : value,
  )
}

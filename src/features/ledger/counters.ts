import type { CounterIncrement, LedgerRow } from '../../core/ledger.ts'
import { vendorCatalog } from '../../core/vendors.ts'

/** Seconds; the upper edges of the latency histogram. */
export const DURATION_EDGES = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]

/** Providers that the environment can name. */
const sharedNames: ReadonlySet<string> = new Set([...vendorCatalog.map(({ name }) => name), 'ollama'])

/** What a booked call adds to the counters; rates and averages are the reader's to compute. */
export function countersOf(row: LedgerRow): CounterIncrement[] {
  // Names that a caller or an organisation invented are counted together: each would stay in the metrics for good.
  const provider = sharedNames.has(row.provider) ? row.provider : 'own'
  const isInvented = row.price_id === '' || row.price_id.startsWith('prv_') || provider === 'own'
  const model = isInvented ? 'other' : label(row.model)
  const labels = `provider="${provider}",model="${model}",operation="${row.operation}"`
  const seconds = row.latency_ms / 1000
  const tokens = (direction: string) => `provider="${provider}",model="${model}",direction="${direction}"`
  const counters: CounterIncrement[] = [
    ['helix_requests_total', `${labels},status="${row.status}"`, 1],
    ['helix_request_duration_seconds_count', labels, 1],
    ['helix_request_duration_milliseconds_sum', labels, row.latency_ms],
    ...DURATION_EDGES.filter((edge) => seconds <= edge).map(
      (edge): CounterIncrement => ['helix_request_duration_seconds_bucket', `${labels},le="${edge}"`, 1],
    ),
  ]
  if (row.prompt_tokens > 0) counters.push(['helix_tokens_used_total', tokens('input'), row.prompt_tokens])
  if (row.completion_tokens > 0) counters.push(['helix_tokens_used_total', tokens('output'), row.completion_tokens])
  if (row.cached_tokens > 0) counters.push(['helix_tokens_used_total', tokens('cached'), row.cached_tokens])
  if (row.reasoning_tokens > 0) counters.push(['helix_tokens_used_total', tokens('reasoning'), row.reasoning_tokens])
  if (row.cost_nanos > 0) counters.push(['helix_llm_cost_nanos_total', labels, row.cost_nanos])
  if (row.error_code !== null) {
    counters.push(['helix_errors_total', `provider="${provider}",class="${row.error_code}"`, 1])
  }
  return counters
}

/** A label's value in Prometheus text: a caller may have named the model. */
export const label = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

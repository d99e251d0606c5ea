import type { LedgerRow } from '../../src/core/ledger.ts'

/** A row of a plain answered call, but for what the test is about. */
export const ledgerRow = (given: Partial<LedgerRow> = {}): LedgerRow => ({
  id: 'led_1',
  request_id: 'req_1',
  org_id: 'org_1',
  key_id: 'key_1',
  operation: 'chat',
  provider: 'openai',
  model: 'gpt-4o',
  price_id: 'openai/gpt-4o@00000000',
  prices_hash: '',
  status: 'ok',
  prompt_tokens: 10,
  cached_tokens: 0,
  cache_write_tokens: 0,
  completion_tokens: 5,
  reasoning_tokens: 0,
  cost_nanos: 0,
  estimated: false,
  attempts: 1,
  latency_ms: 120,
  ttft_ms: null,
  error_code: null,
  stream: false,
  created_at: 1_700_000_000,
  ...given,
})

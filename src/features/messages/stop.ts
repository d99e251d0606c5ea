/** Anthropic's own reasons, as a vendor of its wire gives them beside OpenAI's. */
const NATIVE: ReadonlySet<unknown> = new Set([
  'end_turn',
  'max_tokens',
  'stop_sequence',
  'tool_use',
  'pause_turn',
  'refusal',
  'model_context_window_exceeded',
])

const REASONS: Readonly<Record<string, string>> = {
  length: 'max_tokens',
  tool_calls: 'tool_use',
  function_call: 'tool_use',
  content_filter: 'refusal',
}

type Ended = {
  finish_reason?: string | null | undefined
  native_finish_reason?: unknown
  /** Whether the answer holds calls of tools, which some vendors do not say in their reason. */
  hasTools: boolean
  /** Whether what was written is a refusal. */
  isRefused: boolean
}

/** Why an answer ended, in Anthropic's words. */
export function stopReason({
  finish_reason: reason,
  native_finish_reason: native,
  hasTools,
  isRefused,
}: Ended): string {
  if (typeof native === 'string' && NATIVE.has(native)) return native
  if (typeof reason === 'string' && Object.hasOwn(REASONS, reason)) return REASONS[reason] ?? 'end_turn'
  if (isRefused) return 'refusal'
  return hasTools ? 'tool_use' : 'end_turn'
}

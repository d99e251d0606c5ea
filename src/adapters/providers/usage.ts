import type { WireUsage } from '../../core/models.ts'
import { MOST_TOKENS } from '../../core/usage.ts'
import { countOf, isObject } from './json-shape.ts'

/**
 * A vendor's `usage` with OpenAI's meaning: `prompt_tokens` includes cached ones, `completion_tokens` includes
 * reasoning, details sit in `…_details`. The same object comes back when nothing had to change; undefined when the
 * vendor counted nothing.
 */
export function normalUsage(raw: unknown): WireUsage | undefined {
  if (!isObject(raw)) return undefined
  const prompt = countOf(raw.prompt_tokens)
  const completion = countOf(raw.completion_tokens)
  if (prompt === undefined && completion === undefined) return undefined
  if ((prompt ?? 0) > MOST_TOKENS || (completion ?? 0) > MOST_TOKENS) return undefined
  const promptTokens = prompt ?? 0
  const details = isObject(raw.completion_tokens_details) ? raw.completion_tokens_details : undefined
  const reasoning = countOf(details?.reasoning_tokens) ?? 0
  const completionTokens = withReasoning(completion ?? 0, { promptTokens, reasoning, total: countOf(raw.total_tokens) })
  const changes: Partial<WireUsage> = {}
  if (prompt === undefined) changes.prompt_tokens = promptTokens
  if (completion !== completionTokens) changes.completion_tokens = completionTokens
  if (countOf(raw.total_tokens) === undefined) changes.total_tokens = promptTokens + completionTokens
  const cached = movedCacheHits(raw)
  if (cached !== undefined) changes.prompt_tokens_details = cached
  if (Object.keys(changes).length === 0) return raw as WireUsage
  return { ...raw, ...changes } as WireUsage
}

/** xAI counts reasoning beside `completion_tokens`, not inside: there only the three together make the total. */
function withReasoning(
  completion: number,
  { promptTokens, reasoning, total }: { promptTokens: number; reasoning: number; total: number | undefined },
): number {
  return reasoning > 0 && total === promptTokens + completion + reasoning ? completion + reasoning : completion
}

/** DeepSeek tells cache hits beside `prompt_tokens` (`prompt_cache_hit_tokens`), not in its details. */
function movedCacheHits(raw: Record<string, unknown>): WireUsage['prompt_tokens_details'] | undefined {
  const hits = countOf(raw.prompt_cache_hit_tokens)
  const details = isObject(raw.prompt_tokens_details) ? raw.prompt_tokens_details : {}
  if (hits === undefined || countOf(details.cached_tokens) !== undefined) return undefined
  return { ...details, cached_tokens: hits }
}

import type { Usage, WireUsage } from './models.ts'

/** No call has more tokens than this; a vendor that says so has not counted. */
export const MOST_TOKENS = 1e9

const count = (value: unknown): number | undefined =>
  typeof value === 'number' && value >= 0 && value <= MOST_TOKENS ? Math.floor(value) : undefined

/** The counts of OpenAI's `usage`. A part is never larger than its whole, whatever the vendor says. */
export function countsOf(usage: WireUsage): Usage {
  const prompt = count(usage.prompt_tokens) ?? 0
  const completion = count(usage.completion_tokens) ?? 0
  const cached = Math.min(prompt, count(usage.prompt_tokens_details?.cached_tokens) ?? 0)
  const cacheWrite = Math.min(prompt - cached, count(usage.prompt_tokens_details?.cache_write_tokens) ?? 0)
  const cacheWriteHour = Math.min(cacheWrite, count(usage.prompt_tokens_details?.cache_write_1h_tokens) ?? 0)
  const reasoning = Math.min(completion, count(usage.completion_tokens_details?.reasoning_tokens) ?? 0)
  return { prompt, cached, cacheWrite, completion, reasoning, ...(cacheWriteHour > 0 && { cacheWriteHour }) }
}

/** `usage` for an answer whose vendor gave none. */
export function wireUsageOf({ prompt, cached, completion, reasoning }: Usage): WireUsage {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: reasoning },
  }
}

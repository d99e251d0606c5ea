import type { WireUsage } from '../../core/models.ts'
import { MOST_TOKENS } from '../../core/usage.ts'
import { countOf, isObject, type JsonObject } from './json-shape.ts'

/** Anthropic's counts, as far as they were told. */
type Counts = {
  input?: number | undefined
  cacheRead?: number | undefined
  cacheWrite?: number | undefined
  output?: number | undefined
  thinking?: number | undefined
}

export type UsageTracker = {
  /** Takes a `usage` object: the first is provisional, later ones are cumulative, and what they tell wins. */
  take(raw: unknown): void
  /** OpenAI's `usage` of all that was told; undefined when the vendor counted nothing. */
  total(): WireUsage | undefined
}

/** Follows the usage of one answer. Proxies leave out the counts of `message_start`, or all others. */
export function createUsageTracker(): UsageTracker {
  const counts: Counts = {}
  /** Writes of both lifetimes, where the vendor tells them apart: it does so only at the start. */
  let lifetimes: { short: number; hour: number } | undefined

  function take(raw: unknown): void {
    if (!isObject(raw)) return
    const details = isObject(raw.output_tokens_details) ? raw.output_tokens_details : {}
    counts.input = countIn(raw, 'input_tokens') ?? counts.input
    counts.cacheRead = countIn(raw, 'cache_read_input_tokens') ?? counts.cacheRead
    counts.cacheWrite = countIn(raw, 'cache_creation_input_tokens') ?? counts.cacheWrite
    counts.output = countIn(raw, 'output_tokens') ?? counts.output
    counts.thinking = countIn(details, 'thinking_tokens') ?? counts.thinking
    if (!isObject(raw.cache_creation)) return
    lifetimes = {
      short: countIn(raw.cache_creation, 'ephemeral_5m_input_tokens') ?? 0,
      hour: countIn(raw.cache_creation, 'ephemeral_1h_input_tokens') ?? 0,
    }
  }

  function total(): WireUsage | undefined {
    const { input, cacheRead = 0, output, thinking = 0 } = counts
    if (input === undefined && output === undefined) return undefined
    const { short, hour } = lifetimes ?? { short: 0, hour: 0 }
    const cacheWrite = counts.cacheWrite ?? short + hour
    const prompt = (input ?? 0) + cacheRead + cacheWrite
    const completion = output ?? 0
    return {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
      prompt_tokens_details: {
        cached_tokens: cacheRead,
        cache_write_tokens: cacheWrite,
        // Writes that came after the split was told have the one lifetime of those before, where there was only one.
        cache_write_1h_tokens: short === 0 && hour > 0 ? cacheWrite : Math.min(hour, cacheWrite),
      },
      completion_tokens_details: { reasoning_tokens: Math.min(thinking, completion) },
    }
  }

  return { take, total }
}

/** OpenAI's `usage` of a whole answer. */
export function usageOf(raw: unknown): WireUsage | undefined {
  const tracker = createUsageTracker()
  tracker.take(raw)
  return tracker.total()
}

function countIn(raw: JsonObject, field: string): number | undefined {
  const count = countOf(raw[field])
  return count === undefined || count > MOST_TOKENS ? undefined : count
}

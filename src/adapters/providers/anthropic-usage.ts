import type { WireUsage } from '../../core/models.ts'
import { MOST_TOKENS } from '../../core/usage.ts'
import { countOf, isObject, type JsonObject, objectsOf } from './json-shape.ts'

/** Anthropic's counts, as far as they were told. */
type Counts = {
  input?: number | undefined
  cacheRead?: number | undefined
  cacheWrite?: number | undefined
  output?: number | undefined
  thinking?: number | undefined
}

/** What the vendor has read and written to shorten the conversation, which it leaves out of its own sums. */
type Compaction = { input: number; cacheRead: number; cacheWrite: number; cacheWriteHour: number; output: number }

const NO_COMPACTION: Compaction = { input: 0, cacheRead: 0, cacheWrite: 0, cacheWriteHour: 0, output: 0 }

export type UsageTracker = {
  /** Takes a `usage` object: the first is provisional, later ones are cumulative, and what they tell wins. */
  take(raw: unknown): void
  /** OpenAI's `usage` of all that was told; undefined when the vendor counted nothing, or nonsense. */
  total(): WireUsage | undefined
}

/** Follows the usage of one answer. Proxies leave out the counts of `message_start`, or all others. */
export function createUsageTracker(): UsageTracker {
  const counts: Counts = {}
  /** Writes of both lifetimes, where the vendor tells them apart: it does so only at the start. */
  let lifetimes: { short: number; hour: number } | undefined
  let compaction = NO_COMPACTION

  function take(raw: unknown): void {
    if (!isObject(raw)) return
    const details = isObject(raw.output_tokens_details) ? raw.output_tokens_details : {}
    counts.input = countIn(raw, 'input_tokens') ?? counts.input
    counts.cacheRead = countIn(raw, 'cache_read_input_tokens') ?? counts.cacheRead
    counts.cacheWrite = countIn(raw, 'cache_creation_input_tokens') ?? counts.cacheWrite
    counts.output = countIn(raw, 'output_tokens') ?? counts.output
    counts.thinking = countIn(details, 'thinking_tokens') ?? counts.thinking
    if (Array.isArray(raw.iterations)) compaction = compactionIn(raw.iterations)
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
    // Writes that came after the split was told have the one lifetime of those before, where there was only one.
    const cacheWriteHour = short === 0 && hour > 0 ? cacheWrite : Math.min(hour, cacheWrite)
    const writes = cacheWrite + compaction.cacheWrite
    const reads = cacheRead + compaction.cacheRead
    const prompt = (input ?? 0) + compaction.input + reads + writes
    const completion = (output ?? 0) + compaction.output
    if (prompt > MOST_TOKENS || completion > MOST_TOKENS) return undefined
    return {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
      prompt_tokens_details: {
        cached_tokens: reads,
        cache_write_tokens: writes,
        cache_write_1h_tokens: cacheWriteHour + compaction.cacheWriteHour,
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

/**
 * The sum of the `compaction` entries: they are billed, and in none of the counts beside them.
 * https://platform.claude.com/docs/en/build-with-claude/compaction
 */
function compactionIn(iterations: readonly unknown[]): Compaction {
  return objectsOf(iterations)
    .filter(({ type }) => type === 'compaction')
    .reduce<Compaction>((sum, entry) => {
      const lifetimes = isObject(entry.cache_creation) ? entry.cache_creation : {}
      const written = countIn(entry, 'cache_creation_input_tokens') ?? 0
      return {
        input: sum.input + (countIn(entry, 'input_tokens') ?? 0),
        cacheRead: sum.cacheRead + (countIn(entry, 'cache_read_input_tokens') ?? 0),
        cacheWrite: sum.cacheWrite + written,
        cacheWriteHour: sum.cacheWriteHour + Math.min(written, countIn(lifetimes, 'ephemeral_1h_input_tokens') ?? 0),
        output: sum.output + (countIn(entry, 'output_tokens') ?? 0),
      }
    }, NO_COMPACTION)
}

function countIn(raw: JsonObject, field: string): number | undefined {
  const count = countOf(raw[field])
  return count === undefined || count > MOST_TOKENS ? undefined : count
}

import type { Usage } from '../../core/models.ts'

/** Counts in Anthropic's words: what was read from a cache or written to one stands beside the input, not in it. */
export function messageUsage({ prompt, cached, cacheWrite, cacheWriteHour = 0, completion, reasoning }: Usage) {
  return {
    input_tokens: prompt - cached - cacheWrite,
    cache_creation_input_tokens: cacheWrite,
    cache_read_input_tokens: cached,
    output_tokens: completion,
    cache_creation: {
      ephemeral_5m_input_tokens: cacheWrite - cacheWriteHour,
      ephemeral_1h_input_tokens: cacheWriteHour,
    },
    output_tokens_details: { thinking_tokens: reasoning },
    server_tool_use: null,
    service_tier: 'standard',
    inference_geo: null,
    speed: null,
  }
}

/** The part of it that the end of a stream tells: cumulative counts of the whole message. */
export function endUsage(usage: Usage) {
  const { input_tokens, cache_creation_input_tokens, cache_read_input_tokens, ...rest } = messageUsage(usage)
  const { output_tokens, output_tokens_details, server_tool_use } = rest
  const input = { input_tokens, cache_creation_input_tokens, cache_read_input_tokens }
  return { ...input, output_tokens, output_tokens_details, server_tool_use }
}

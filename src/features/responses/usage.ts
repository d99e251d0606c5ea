import type { Usage } from '../../core/models.ts'

/** Counts in the words of the Responses interface. */
export const responseUsage = ({ prompt, cached, cacheWrite, completion, reasoning }: Usage) => ({
  input_tokens: prompt,
  input_tokens_details: { cached_tokens: cached, cache_write_tokens: cacheWrite },
  output_tokens: completion,
  output_tokens_details: { reasoning_tokens: reasoning },
  total_tokens: prompt + completion,
})

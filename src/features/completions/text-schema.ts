import * as z from 'zod'
import { ChatRequest, HelixOptions } from './schema.ts'

/**
 * The legacy text body: what a chat model cannot do with it is reported, not refused.
 * https://platform.openai.com/docs/api-reference/completions/create
 */
export const TextRequest = z.looseObject({
  model: z.string().min(1).max(255),
  prompt: z.union([z.string(), z.tuple([z.string()])]),
  stream: ChatRequest.shape.stream,
  stream_options: ChatRequest.shape.stream_options,
  temperature: ChatRequest.shape.temperature,
  top_p: ChatRequest.shape.top_p,
  n: ChatRequest.shape.n,
  stop: ChatRequest.shape.stop,
  max_tokens: ChatRequest.shape.max_tokens,
  echo: z.boolean().nullish(),
  suffix: z.string().nullish(),
  best_of: z.int().min(1).max(5).nullish(),
  logprobs: z.int().min(0).max(5).nullish(),
  helix: HelixOptions.optional(),
  provider: z.string().min(1).max(64).optional(),
  force_provider: z.string().min(1).max(64).optional(),
})

export type TextRequest = z.infer<typeof TextRequest>

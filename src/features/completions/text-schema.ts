import * as z from 'zod'
import { ChatOptions, ChatRequest } from './schema.ts'

/** Fields of the legacy body that a chat model knows nothing like, each with the value that asks for nothing. */
const inexpressible: Readonly<Record<string, unknown>> = { suffix: '', best_of: 1, logprobs: undefined }

/** What of a request is lost when a chat model serves it. */
export const lostOf = (request: Readonly<Record<string, unknown>>): string[] =>
  Object.entries(inexpressible).flatMap(([field, neutral]) => {
    const value = request[field]
    return value === undefined || value === null || value === neutral ? [] : [field]
  })

const LegacyBody = z.looseObject({
  model: z.string().min(1).max(255),
  prompt: z.union([z.string(), z.tuple([z.string()])]),
  stream: ChatRequest.shape.stream,
  stream_options: ChatRequest.shape.stream_options,
  temperature: ChatRequest.shape.temperature,
  top_p: ChatRequest.shape.top_p,
  n: ChatRequest.shape.n,
  stop: ChatRequest.shape.stop,
  max_tokens: ChatRequest.shape.max_tokens,
  max_completion_tokens: ChatRequest.shape.max_completion_tokens,
  echo: z.boolean().nullish(),
  suffix: z.string().nullish(),
  best_of: z.int().min(1).max(5).nullish(),
  logprobs: z.int().min(0).max(5).nullish(),
  helix: ChatOptions.nullish(),
  provider: z.string().min(1).max(64).nullish(),
  force_provider: z.string().min(1).max(64).nullish(),
})

/**
 * The legacy text body: what a chat model cannot do with it is reported, and refused only when the caller is strict.
 * https://platform.openai.com/docs/api-reference/completions/create
 */
export const TextRequest = LegacyBody.superRefine((request, { addIssue }) => {
  if (request.helix?.strict !== true) return
  for (const field of lostOf(request)) {
    addIssue({ code: 'custom', path: [field], message: `a chat model cannot express '${field}'` })
  }
})

export type TextRequest = z.infer<typeof TextRequest>

import * as z from 'zod'
import { HelixOptions } from '../routing/service.ts'

/** https://platform.openai.com/docs/api-reference/embeddings/create#embeddings-create-input */
export const MAX_INPUTS = 2048
const MAX_TOKENS_PER_INPUT = 8192
const MAX_TOKENS = 300_000

const TokenIds = z.array(z.int().min(0)).min(1).max(MAX_TOKENS_PER_INPUT)

/** https://platform.openai.com/docs/api-reference/embeddings/create */
export const EmbeddingRequest = z.looseObject({
  model: z.string().min(1).max(255),
  input: z.union([
    z.string().min(1),
    z.array(z.string().min(1)).min(1).max(MAX_INPUTS),
    TokenIds,
    z
      .array(TokenIds)
      .min(1)
      .max(MAX_INPUTS)
      .refine(
        (inputs) => inputs.reduce((total, { length }) => total + length, 0) <= MAX_TOKENS,
        `must have at most ${MAX_TOKENS} tokens in all`,
      ),
  ]),
  dimensions: z.int().min(1).nullish(),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  user: z.string().nullish(),
  helix: HelixOptions.nullish(),
  provider: z.string().min(1).max(64).nullish(),
  force_provider: z.string().min(1).max(64).nullish(),
})

export type EmbeddingRequest = z.infer<typeof EmbeddingRequest>

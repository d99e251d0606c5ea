import * as z from 'zod'

const MAX_INPUTS = 2048
const TokenIds = z.array(z.int().min(0)).min(1)

/** https://platform.openai.com/docs/api-reference/embeddings/create */
export const EmbeddingRequest = z.looseObject({
  model: z.string().min(1).max(255),
  input: z.union([
    z.string().min(1),
    z.array(z.string().min(1)).min(1).max(MAX_INPUTS),
    TokenIds,
    z.array(TokenIds).min(1).max(MAX_INPUTS),
  ]),
  dimensions: z.int().min(1).nullish(),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  user: z.string().nullish(),
  provider: z.string().min(1).max(64).optional(),
  force_provider: z.string().min(1).max(64).optional(),
})

export type EmbeddingRequest = z.infer<typeof EmbeddingRequest>

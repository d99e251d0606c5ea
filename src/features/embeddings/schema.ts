import * as z from 'zod'

const MAX_INPUTS = 2048
const TokenIds = z.array(z.int().min(0)).min(1)

/** What a caller may ask of Helix itself. Unknown names are refused: a typing error must not pass. */
const HelixOptions = z.strictObject({
  provider: z.string().min(1).max(64).optional(),
  fallback_models: z.array(z.string().min(1).max(255)).max(5).optional(),
  timeout_ms: z.int().min(1000).max(600_000).optional(),
})

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
  helix: HelixOptions.optional(),
  provider: z.string().min(1).max(64).optional(),
  force_provider: z.string().min(1).max(64).optional(),
})

export type EmbeddingRequest = z.infer<typeof EmbeddingRequest>

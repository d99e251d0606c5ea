/** Prices of the token classes of a call, in nano-USD per 1,000,000 tokens. Reasoning tokens are output tokens. */
export type TokenPrices = {
  input: number
  cachedInput: number
  cacheWrite: number
  /** Cache writes that are kept for an hour; absent where they cost what the others do. */
  cacheWriteHour?: number | undefined
  output: number
}

/**
 * What a model costs. `id` is `vendor/model@hash` and changes when any figure does, so a ledger row that holds the id
 * says exactly which figures it was computed with. The last tier whose threshold the prompt passes prices the whole
 * call; `base` prices the calls below the first threshold.
 */
export type Price = {
  id: string
  base: TokenPrices
  tiers: readonly { abovePromptTokens: number; prices: TokenPrices }[]
}

export type Capability = 'tools' | 'json_schema' | 'vision' | 'reasoning' | 'embedding' | 'completion'

/** What a family of models can do, told from the name alone. `imageTokenBound` is the most one image can cost. */
export type Traits = {
  kind: 'chat' | 'embedding' | 'transcription'
  capabilities: readonly Capability[]
  maxOutputTokens: number | undefined
  imageTokenBound: number
}

/** Expected quality (0 to 10) and latency, used until a model has been measured. */
export type Prior = { quality: number; latencySeconds: number }

/** A model as one vendor serves it; `name` is what that vendor takes in a request. `price` undefined: not known. */
export type CatalogModel = Traits & {
  name: string
  vendor: string
  contextWindow: number | undefined
  price: Price | undefined
  prior: Prior | undefined
  deprecated?: boolean
}

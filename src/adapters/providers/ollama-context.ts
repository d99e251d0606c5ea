import { type JsonObject, objectsOf, stringOf } from './json-shape.ts'

/** Less than this is a node's habit (often 4096), and too little for a conversation with tools. */
const MIN_CONTEXT_TOKENS = 8192
/** The largest step that we ask for when the model's own window is not known. */
const MAX_UNKNOWN_CONTEXT_TOKENS = 131_072
/** Room for an answer whose length nobody limited. */
const DEFAULT_OUTPUT_TOKENS = 2048
const TOKENS_PER_MESSAGE = 8
/** The usual models cut an image into a few hundred to a thousand tokens. */
const TOKENS_PER_IMAGE = 1024

type Need = {
  messages: readonly JsonObject[]
  tools: readonly JsonObject[]
  maxTokens: number | undefined
  contextWindow: number | undefined
}

/**
 * `num_ctx` for a request, in tokens: its prompt (estimated high) and its answer, rounded up to a power of two,
 * because a node reloads the model whenever this number changes. At most the model's own window.
 */
export function contextFor({ messages, tools, maxTokens, contextWindow }: Need): number {
  let need = maxTokens ?? DEFAULT_OUTPUT_TOKENS
  for (const message of messages) {
    need += TOKENS_PER_MESSAGE + tokensOf(stringOf(message.content) ?? '') + tokensOf(stringOf(message.thinking) ?? '')
    need += Array.isArray(message.images) ? message.images.length * TOKENS_PER_IMAGE : 0
    for (const call of objectsOf(message.tool_calls)) need += tokensOf(JSON.stringify(call))
  }
  for (const tool of tools) need += tokensOf(JSON.stringify(tool))
  const step = 2 ** Math.ceil(Math.log2(Math.max(need, MIN_CONTEXT_TOKENS)))
  return Math.min(step, contextWindow ?? MAX_UNKNOWN_CONTEXT_TOKENS)
}

/** About 3 characters a token in Latin script, at most one a character beyond it: high on purpose. */
function tokensOf(text: string): number {
  const beyondAscii = text.match(/[^\p{ASCII}]/gu)?.length ?? 0
  return Math.ceil((text.length - beyondAscii) / 3) + beyondAscii
}

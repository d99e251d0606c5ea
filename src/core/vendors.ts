import type { Timeouts, Wire } from './models.ts'

/** How a vendor departs from OpenAI's wire. Absent means: it does not. */
export type VendorQuirks = {
  /** The one name under which the vendor takes the output limit; the other of the two is renamed to it. */
  maxTokensField: 'max_tokens' | 'max_completion_tokens'
  /** Fields that the vendor knows under another name. */
  rename?: Readonly<Record<string, string>>
  /** Fields that the vendor refuses, or accepts and disregards. Dropping them is reported to the caller. */
  omit?: readonly string[]
  /** Fields that no other vendor knows, and that are dropped elsewhere. */
  ownFields?: readonly string[]
  /** Fields of a message that the vendor refuses. */
  omitFromMessages?: readonly string[]
  /** What messages carry for other wires, and this vendor understands too: `cache_control`. */
  knows?: readonly string[]
  /** Roles that the vendor knows under another name. */
  renameRoles?: Readonly<Record<string, string>>
  /** False: the vendor sends usage at the end of a stream unasked, and does not know `stream_options`. */
  supportsStreamUsage: boolean
  /** Where the vendor puts reasoning text, when not in `reasoning_content`. */
  reasoningField?: string
}

/** The wires of which a vendor may speak one; each has an adapter. */
export type VendorWire = Exclude<Wire, 'ollama'>

export type VendorRow = {
  name: string
  /** Quirks are of OpenAI's wire: the others have none. */
  wire: VendorWire
  /** `OPENAI` reads `OPENAI_API_KEY` and `OPENAI_BASE_URL`. */
  envPrefix: string
  baseUrl: string
  /** Smaller is tried first where nothing else decides. */
  priority: number
  /** Its name in the package of price data; undefined where that lacks it. */
  priceData: string | undefined
  /** What `auto` asks of it: a general model of middling price, by the name the catalog knows. */
  auto: { chat: string; embedding?: string }
  quirks: VendorQuirks
  timeouts: Timeouts
  wholeTotalMs: number
}

/**
 * Of a vendor's call. `firstByteMs` runs from the request to the headers of a stream, `idleMs` is the longest silence
 * after them (long enough for a model that thinks without a word), `totalMs` the longest stream.
 */
export const vendorTimeouts: Timeouts = { connectMs: 10_000, firstByteMs: 30_000, idleMs: 60_000, totalMs: 600_000 }

/** An answer in one piece has no sign of life on its way, so it gets less patience than a stream. */
export const vendorWholeTotalMs = 60_000

const plain: VendorQuirks = { maxTokensField: 'max_tokens', supportsStreamUsage: true }

const row = (
  entry: Pick<VendorRow, 'name' | 'baseUrl' | 'priority' | 'priceData' | 'auto'> & {
    wire?: VendorWire
    quirks?: Partial<VendorQuirks>
  },
): VendorRow => ({
  wire: 'openai',
  ...entry,
  envPrefix: entry.name.toUpperCase(),
  quirks: { ...plain, ...entry.quirks },
  timeouts: vendorTimeouts,
  wholeTotalMs: vendorWholeTotalMs,
})

/** Vendors in order of priority. A new one that speaks OpenAI's wire is a row here, and a line in `.dev.vars.example`. */
export const vendorCatalog: readonly VendorRow[] = [
  row({
    name: 'openai',
    baseUrl: 'https://api.openai.com/v1',
    priority: 10,
    priceData: 'openai',
    auto: { chat: 'gpt-4o', embedding: 'text-embedding-3-small' },
    // Reasoning models refuse `max_tokens`; every chat model takes the newer name. 400 `Unrecognized request argument
    // supplied: top_k`, and `Additional properties are not allowed` for what a message does not have.
    quirks: {
      maxTokensField: 'max_completion_tokens',
      omit: ['top_k'],
      omitFromMessages: ['reasoning_content', 'reasoning'],
    },
  }),
  row({
    name: 'anthropic',
    wire: 'anthropic',
    baseUrl: 'https://api.anthropic.com',
    priority: 20,
    priceData: 'anthropic',
    auto: { chat: 'claude-sonnet-4-5' },
  }),
  row({
    name: 'gemini',
    wire: 'gemini',
    baseUrl: 'https://generativelanguage.googleapis.com/v1beta',
    priority: 30,
    priceData: 'google',
    auto: { chat: 'gemini-2.5-flash', embedding: 'gemini-embedding-001' },
  }),
  row({
    name: 'deepseek',
    baseUrl: 'https://api.deepseek.com/v1',
    priority: 40,
    priceData: 'deepseek',
    auto: { chat: 'deepseek-chat' },
    // 400 `unknown variant developer, expected one of system, user, assistant, tool`.
    quirks: { renameRoles: { developer: 'system' } },
  }),
  row({
    name: 'mistral',
    baseUrl: 'https://api.mistral.ai/v1',
    priority: 50,
    priceData: 'mistral',
    auto: { chat: 'mistral-large-latest', embedding: 'mistral-embed' },
    // Validation is strict: 422 `extra_forbidden` for every field it does not know, in messages too.
    quirks: {
      rename: { seed: 'random_seed', dimensions: 'output_dimension' },
      omit: [
        'logit_bias',
        'logprobs',
        'top_logprobs',
        'top_k',
        'store',
        'user',
        'service_tier',
        'verbosity',
        'prompt_cache_key',
      ],
      omitFromMessages: ['reasoning_content', 'reasoning'],
      renameRoles: { developer: 'system' },
      supportsStreamUsage: false,
    },
  }),
  row({
    name: 'qwen',
    baseUrl: 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1',
    priority: 60,
    priceData: undefined,
    auto: { chat: 'qwen-plus', embedding: 'text-embedding-v4' },
    // Alibaba bills what a model writes after thinking at a price of its own, which the catalog does not have.
    quirks: { renameRoles: { developer: 'system' }, omit: ['enable_thinking', 'thinking_budget'] },
  }),
  row({
    name: 'zai',
    baseUrl: 'https://api.z.ai/api/paas/v4',
    priority: 70,
    priceData: 'zai',
    auto: { chat: 'glm-4.5' },
    quirks: { renameRoles: { developer: 'system' } },
  }),
  row({
    name: 'xai',
    baseUrl: 'https://api.x.ai/v1',
    priority: 75,
    priceData: 'x-ai',
    auto: { chat: 'grok-4-0709' },
    quirks: { maxTokensField: 'max_completion_tokens' },
  }),
  row({
    name: 'groq',
    baseUrl: 'https://api.groq.com/openai/v1',
    priority: 80,
    priceData: 'groq',
    auto: { chat: 'llama-3.3-70b-versatile' },
    // console.groq.com/docs/openai: each of these is a 400, and `n` must be 1.
    quirks: {
      maxTokensField: 'max_completion_tokens',
      omit: ['logprobs', 'top_logprobs', 'top_k', 'logit_bias', 'n'],
      omitFromMessages: ['name'],
      reasoningField: 'reasoning',
    },
  }),
  row({
    name: 'together',
    baseUrl: 'https://api.together.xyz/v1',
    priority: 90,
    priceData: 'together',
    auto: { chat: 'meta-llama/Llama-3.3-70B-Instruct-Turbo' },
    quirks: { reasoningField: 'reasoning' },
  }),
  row({
    name: 'cerebras',
    baseUrl: 'https://api.cerebras.ai/v1',
    priority: 100,
    priceData: 'cerebras',
    auto: { chat: 'gpt-oss-120b' },
    // inference-docs.cerebras.ai/resources/openai: each of these is a 400, and instructions go by `system` alone.
    quirks: {
      maxTokensField: 'max_completion_tokens',
      omit: ['frequency_penalty', 'presence_penalty', 'logit_bias', 'service_tier', 'prompt_cache_key', 'verbosity'],
      renameRoles: { developer: 'system' },
      reasoningField: 'reasoning',
    },
  }),
  row({
    name: 'openrouter',
    baseUrl: 'https://openrouter.ai/api/v1',
    priority: 110,
    priceData: 'openrouter',
    auto: { chat: 'openai/gpt-4o' },
    quirks: {
      reasoningField: 'reasoning',
      ownFields: ['provider'],
      // openrouter.ai/docs/features/prompt-caching
      knows: ['cache_control'],
      // Each of these lets a call reach, or pay for, something else than the model that was asked and allowed.
      omit: ['models', 'route', 'plugins', 'preset', 'transforms'],
    },
  }),
]

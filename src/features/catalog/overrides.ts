import type { Prior } from './types.ts'

/**
 * The hand-kept part of the catalog: names, windows, priors and what to leave out. It is read when the catalog is
 * compiled and never bundled. The package of price data is the base; each row here says where it comes from.
 */

/** Names in the data that are a family, with the name the vendor takes in a request. */
export const sentAs: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  // https://platform.openai.com/docs/deprecations
  openai: { 'gpt-3.5-0301': 'gpt-3.5-turbo-0301' },
  // https://platform.claude.com/docs/en/about-claude/model-deprecations
  anthropic: {
    'claude-3-haiku': 'claude-3-haiku-20240307',
    'claude-3-sonnet': 'claude-3-sonnet-20240229',
    'claude-3-5-sonnet': 'claude-3-5-sonnet-latest',
  },
  // https://ai.google.dev/gemma/docs/core/gemma_on_gemini_api
  gemini: { 'gemma-3': 'gemma-3-27b-it', 'gemma-3n': 'gemma-3n-e4b-it' },
  // https://docs.mistral.ai/getting-started/models
  mistral: {
    codestral: 'codestral-latest',
    'devstral-small': 'devstral-small-latest',
    'magistral-medium': 'magistral-medium-latest',
    'magistral-small': 'magistral-small-latest',
    'ministral-3b': 'ministral-3b-latest',
    'mistral-7b': 'open-mistral-7b',
    'mistral-large': 'mistral-large-latest',
    'mistral-medium-3-1': 'mistral-medium-2508',
    'mistral-nemo': 'open-mistral-nemo',
    'mistral-saba': 'mistral-saba-latest',
    'pixtral-12b': 'pixtral-12b-latest',
    'pixtral-large': 'pixtral-large-latest',
  },
  zai: { 'GLM-5.2': 'glm-5.2', 'GLM-5.3': 'glm-5.3', 'GLM-5.3-Flash': 'glm-5.3-flash' },
}

/** Short names that callers use, with the vendor's own name they stand for. */
export const aliases: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  anthropic: { 'claude-3.5': 'claude-3-5-sonnet-latest' },
  gemini: { 'gemini-2.5': 'gemini-2.5-pro' },
  openrouter: {
    'claude-3.5': 'anthropic/claude-3.5-sonnet',
    'gemini-2.5': 'google/gemini-2.5-pro',
    'llama-3.1': 'meta-llama/llama-3.1-70b-instruct',
    'mixtral-8x7b': 'mistralai/mixtral-8x7b-instruct',
  },
  ollama: { 'llama-3.1': 'llama3.1' },
}

/** Further names that a vendor takes for a model of the data. */
export const extraNames: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  // https://api-docs.deepseek.com/updates: merged into deepseek-chat, the old name stayed valid.
  deepseek: { 'deepseek-chat': ['deepseek-coder'] },
  // https://ai.google.dev/gemma/docs/core/gemma_on_gemini_api
  gemini: {
    'gemma-3': ['gemma-3-12b-it', 'gemma-3-4b-it', 'gemma-3-1b-it'],
    'gemma-3n': ['gemma-3n-e2b-it'],
  },
}

/** Names that must not be routed to, and why. They leave the catalog, or just the model they are another name of. */
export const exclusions: readonly { vendor: string; names: RegExp; reason: string }[] = [
  { vendor: '*', names: /^ft:|\.ft-/, reason: 'fine-tuned models belong to one account' },
  {
    vendor: '*',
    names: /audio|realtime|transcribe|-tts|image|-live-|^gemini-live|moderation|-ocr-|lyria|voice|omni-flash/i,
    reason: 'not text in, text out',
  },
  {
    vendor: 'openai',
    names: /^(ada|babbage|curie|davinci|text-davinci)|-instruct/,
    reason: 'not a chat model',
  },
  {
    vendor: 'openai',
    names: /-pro(-\d|$)|codex|deep-research|^computer-use|search-preview/,
    reason: 'served by the Responses API alone, or billed by the search',
  },
  {
    vendor: 'openai',
    names: /^gpt-oss|:extended$|-high$|^gpt-35-|^gpt-5-\d(?!\d)|^gpt-5(\.\d)?-chat$/,
    reason: 'a name of another host, not of OpenAI',
  },
  { vendor: 'anthropic', names: /^claude-v?[12]|@|-2025$/, reason: 'retired, or a name of another host' },
  {
    vendor: 'gemini',
    names: /^claude|^anthropic|-maas$|^gemini-(flash|pro)-1\.5|:|-0$/,
    reason: 'served by Vertex AI or OpenRouter, not by the Gemini API',
  },
  { vendor: 'deepseek', names: /-v3|-r1/, reason: 'a name of another host, not of DeepSeek' },
  { vendor: 'mistral', names: /:free$|24b-instruct/, reason: 'a name of another host, not of Mistral' },
  { vendor: 'mistral', names: /mixtral/, reason: 'retired by Mistral on 2025-03-30' },
  { vendor: 'xai', names: /\//, reason: 'a name of another host, not of xAI' },
  { vendor: 'openrouter', names: /^[^/]*$/, reason: 'OpenRouter takes author/model names only' },
  { vendor: 'openrouter', names: /:batch$/, reason: 'batch prices do not apply to live calls' },
]

/** Spellings of a model that its vendor does not take; they resolve, and the vendor's own name is sent. */
export const foreignSpellings: Readonly<Record<string, RegExp>> = {
  anthropic: /\.|^claude-[45]|^claude-sonnet-3-7/,
}

/** Families that their vendor takes with a version only: `claude-3-opus-20240229`, but not `claude-3-opus`. */
export const versionedOnly: Readonly<Record<string, RegExp>> = {
  anthropic: /^claude-(3(-[57])?-(haiku|sonnet|opus)|(sonnet|opus)-4)$/,
}

/** Context windows that the data lacks, or that are set lower on purpose. */
export const windows: readonly { vendor: string; names: RegExp; contextWindow: number; source: string }[] = [
  { vendor: 'gemini', names: /^gemini-pro$/, contextWindow: 32_760, source: 'https://ai.google.dev/gemini-api/docs' },
  {
    vendor: 'gemini',
    names: /^gemini-(2\.5-pro|3(\.1)?-pro-preview)$/,
    contextWindow: 1_000_000,
    source: 'https://ai.google.dev/gemini-api/docs/models',
  },
  {
    vendor: 'gemini',
    names: /^gemini-embedding/,
    contextWindow: 2_048,
    source: 'https://ai.google.dev/gemini-api/docs/embeddings',
  },
  {
    vendor: 'mistral',
    names: /^mistral-large-latest$/,
    contextWindow: 32_000,
    source: 'https://docs.mistral.ai/getting-started/models',
  },
  {
    vendor: 'openrouter',
    names: /^anthropic\/claude-(3|sonnet-4$)/,
    contextWindow: 200_000,
    source: 'https://openrouter.ai/anthropic',
  },
  {
    vendor: 'openrouter',
    names: /^google\/gemini-pro$/,
    contextWindow: 32_760,
    source: 'https://openrouter.ai/google',
  },
  {
    vendor: 'openrouter',
    names: /^mistralai\/mixtral-8x7b-instruct$/,
    contextWindow: 32_000,
    source: 'https://openrouter.ai/mistralai/mixtral-8x7b-instruct',
  },
]

/** Models that their vendor has retired or announced to retire. */
export const retired: readonly { vendor: string; names: RegExp; source: string }[] = [
  {
    vendor: 'openai',
    names: /^gpt-(4-32k|4-vision|4\.5|3\.5-turbo-(0301|0613|16k))|^o1-(mini|preview)/,
    source: 'https://platform.openai.com/docs/deprecations',
  },
  {
    vendor: 'anthropic',
    names: /^claude-3/,
    source: 'https://platform.claude.com/docs/en/about-claude/model-deprecations',
  },
  { vendor: 'gemini', names: /^gemini-(1\.|2\.0|pro)/, source: 'https://ai.google.dev/gemini-api/docs/deprecations' },
  { vendor: 'deepseek', names: /^deepseek-(chat|reasoner)/, source: 'https://api-docs.deepseek.com/news/news260424' },
]

/** Models that cost nothing by their vendor's own word; any other zero price is a hole in the data. */
export const freeModels: readonly { vendor: string; names: RegExp; source: string }[] = [
  { vendor: 'openrouter', names: /:free$/, source: 'https://openrouter.ai/docs/faq' },
  { vendor: 'gemini', names: /^gemma-/, source: 'https://ai.google.dev/gemini-api/docs/pricing' },
]

/** Chat models that really cost less for output than for input; any other is a swapped figure. */
export const cheaperOutput: readonly { vendor: string; names: RegExp; source: string }[] = []

/** Priors by family, whichever vendor serves it. */
export const priors: readonly (Prior & { family: RegExp })[] = [
  { family: /^gpt-3\.5-turbo/, quality: 7, latencySeconds: 1.2 },
  { family: /^gpt-4o(-\d|$)/, quality: 9, latencySeconds: 1.8 },
  { family: /^gpt-4-turbo/, quality: 9.5, latencySeconds: 2.5 },
  { family: /^gpt-4(-0\d+)?$/, quality: 9, latencySeconds: 3 },
  { family: /^claude-3-sonnet/, quality: 8.5, latencySeconds: 2 },
  { family: /^claude-3[.-]5-sonnet/, quality: 9.3, latencySeconds: 2 },
  { family: /^claude-3-opus/, quality: 9.8, latencySeconds: 3.5 },
  { family: /^gemini-pro$/, quality: 8, latencySeconds: 1.5 },
  { family: /^gemini-2\.5-pro/, quality: 9.3, latencySeconds: 2 },
  { family: /^mistral-large/, quality: 8.5, latencySeconds: 2 },
  { family: /^mixtral-8x7b/, quality: 7.2, latencySeconds: 1.5 },
  { family: /^(meta-)?llama-?3\.1(?!-8b)/, quality: 7.8, latencySeconds: 1.5 },
  { family: /^grok-4(-0709|-latest)?$/, quality: 9.3, latencySeconds: 3 },
  { family: /^deepseek-(chat|coder)/, quality: 8.3, latencySeconds: 2 },
  { family: /^qwen-turbo/, quality: 7.2, latencySeconds: 1 },
  { family: /^qwen-plus/, quality: 8, latencySeconds: 1.6 },
  { family: /^qwen-max/, quality: 8.6, latencySeconds: 2.4 },
  { family: /^glm-4\.5$/, quality: 8.4, latencySeconds: 2 },
]

/**
 * Later generations of a line: until they are measured nothing is expected of them but what was of the one before. The
 * small and the fast models of a vendor are lines of their own.
 */
export const successors: readonly { family: RegExp; of: string }[] = [
  { family: /^gpt-4\.1(-\d{4}|$)/, of: 'gpt-4o' },
  { family: /^gpt-5(\.\d)?(-\d{4}|$)/, of: 'gpt-4-turbo' },
  { family: /^claude-(3-7-sonnet|sonnet-\d)/, of: 'claude-3-5-sonnet' },
  { family: /^claude-opus-\d/, of: 'claude-3-opus' },
  { family: /^gemini-3(\.\d)?-pro/, of: 'gemini-2.5-pro' },
  { family: /^grok-4\.\d+$/, of: 'grok-4' },
  { family: /^deepseek-v\d-pro/, of: 'deepseek-chat' },
  { family: /^qwen3-max/, of: 'qwen-max' },
  { family: /^llama-?3\.3-70b/, of: 'llama-3.1' },
]

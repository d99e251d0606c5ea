/**
 * Prices kept by hand, read when the catalog is compiled and never bundled: models that the package of price data
 * lacks or has wrong, each with its source. Figures are USD per 1,000,000 tokens, as decimal text.
 */

type Figures = { input: string; cachedInput?: string; cacheWrite?: string; output?: string }

/** A model that the data lacks or has wrong. Its names are taken from any row of the data that has them too. */
export type PriceRow = {
  vendor: string
  name: string
  otherNames?: readonly string[]
  contextWindow?: number
  price: (Figures & { tiers?: readonly (Figures & { abovePromptTokens: number })[] }) | 'node'
  source: string
}

const ALIBABA = 'https://www.alibabacloud.com/help/en/model-studio/model-pricing'
const ZAI = 'https://docs.z.ai/guides/overview/pricing'
const DEEPSEEK = 'https://api-docs.deepseek.com/quick_start/pricing'

/** Alibaba: Singapore, non-thinking rates; it bills thinking output of qwen-plus and qwen-turbo higher. */
export const priceRows: readonly PriceRow[] = [
  {
    vendor: 'qwen',
    name: 'qwen-turbo',
    otherNames: ['qwen-turbo-latest'],
    contextWindow: 131_072,
    price: { input: '0.05', cachedInput: '0.02', output: '0.2' },
    source: 'https://www.alibabacloud.com/help/en/model-studio/qwen-turbo',
  },
  {
    vendor: 'qwen',
    name: 'qwen-plus',
    otherNames: ['qwen-plus-latest'],
    contextWindow: 131_072,
    price: {
      input: '0.4',
      cachedInput: '0.16',
      output: '1.2',
      tiers: [{ abovePromptTokens: 256_000, input: '1.2', cachedInput: '0.48', output: '3.6' }],
    },
    source: ALIBABA,
  },
  {
    vendor: 'qwen',
    name: 'qwen-max',
    otherNames: ['qwen-max-latest'],
    contextWindow: 32_768,
    price: { input: '1.6', cachedInput: '0.64', output: '6.4' },
    source: ALIBABA,
  },
  {
    vendor: 'qwen',
    name: 'qwen-flash',
    contextWindow: 1_000_000,
    price: { input: '0.05', output: '0.4', tiers: [{ abovePromptTokens: 256_000, input: '0.25', output: '2' }] },
    source: ALIBABA,
  },
  {
    vendor: 'qwen',
    name: 'qwen3-max',
    contextWindow: 262_144,
    price: {
      input: '1.2',
      output: '6',
      tiers: [
        { abovePromptTokens: 32_000, input: '2.4', output: '12' },
        { abovePromptTokens: 128_000, input: '3', output: '15' },
      ],
    },
    source: ALIBABA,
  },
  {
    vendor: 'qwen',
    name: 'text-embedding-v4',
    otherNames: ['text-embedding-v3'],
    contextWindow: 8_192,
    price: { input: '0.07' },
    source: ALIBABA,
  },
  {
    vendor: 'zai',
    name: 'glm-4.5',
    contextWindow: 128_000,
    price: { input: '0.6', cachedInput: '0.11', output: '2.2' },
    source: ZAI,
  },
  {
    vendor: 'zai',
    name: 'glm-4.5-air',
    contextWindow: 128_000,
    price: { input: '0.2', cachedInput: '0.03', output: '1.1' },
    source: ZAI,
  },
  {
    vendor: 'zai',
    name: 'glm-4.6',
    otherNames: ['glm-4.7'],
    contextWindow: 200_000,
    price: { input: '0.6', cachedInput: '0.11', output: '2.2' },
    source: ZAI,
  },
  {
    vendor: 'zai',
    name: 'glm-5',
    contextWindow: 200_000,
    price: { input: '1', cachedInput: '0.2', output: '3.2' },
    source: ZAI,
  },
  {
    vendor: 'zai',
    name: 'glm-5-turbo',
    contextWindow: 200_000,
    price: { input: '1.2', cachedInput: '0.24', output: '4' },
    source: ZAI,
  },
  {
    vendor: 'deepseek',
    // Peak rate: off-peak hours are billed at half, so the ledger never shows less than the bill.
    name: 'deepseek-flash',
    otherNames: ['deepseek-v4-flash', 'deepseek-v4-flash-vision-exp'],
    contextWindow: 1_000_000,
    price: { input: '0.3', cachedInput: '0.006', output: '1.2' },
    source: DEEPSEEK,
  },
  {
    vendor: 'mistral',
    // On its own because the window differs from that of the newer model behind `mistral-large-latest`.
    name: 'mistral-large-2411',
    otherNames: ['mistral-large-2407'],
    contextWindow: 131_072,
    price: { input: '2', output: '6' },
    source: 'https://docs.mistral.ai/getting-started/models',
  },
  {
    vendor: 'openrouter',
    name: 'x-ai/grok-4',
    contextWindow: 256_000,
    price: {
      input: '3',
      cachedInput: '0.75',
      output: '15',
      tiers: [{ abovePromptTokens: 128_000, input: '6', cachedInput: '1.5', output: '30' }],
    },
    source: 'https://openrouter.ai/x-ai/grok-4',
  },
  {
    vendor: 'ollama',
    name: 'llama3.1',
    contextWindow: 128_000,
    price: 'node',
    source: 'https://ollama.com/library/llama3.1',
  },
  {
    vendor: 'node',
    name: 'nomic-embed-text',
    contextWindow: 8_192,
    price: 'node',
    source: 'https://huggingface.co/nomic-ai/nomic-embed-text-v1.5',
  },
  { vendor: 'node', name: 'whisper', price: 'node', source: 'https://github.com/openai/whisper' },
]

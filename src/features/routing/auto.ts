import type { CatalogModel } from '../catalog/service.ts'

/** What `auto` asks of a vendor: a general model of middling price, by the name the catalog knows. */
const autoModels: Readonly<Record<'chat' | 'embedding', ReadonlyMap<string, string>>> = {
  chat: new Map([
    ['openai', 'gpt-4o'],
    ['anthropic', 'claude-sonnet-4-5'],
    ['gemini', 'gemini-2.5-flash'],
    ['deepseek', 'deepseek-chat'],
    ['mistral', 'mistral-large-latest'],
    ['qwen', 'qwen-plus'],
    ['zai', 'glm-4.5'],
    ['groq', 'llama-3.3-70b-versatile'],
    ['together', 'meta-llama/Llama-3.3-70B-Instruct-Turbo'],
    ['xai', 'grok-4-0709'],
    ['openrouter', 'openai/gpt-4o'],
  ]),
  embedding: new Map([
    ['openai', 'text-embedding-3-small'],
    ['gemini', 'gemini-embedding-001'],
    ['mistral', 'mistral-embed'],
    ['qwen', 'text-embedding-v4'],
  ]),
}

export const isAuto = (name: string): boolean => name === 'auto' || name.startsWith('auto:')

export const autoModelOf = (vendor: string, kind: CatalogModel['kind']): string | undefined =>
  kind === 'transcription' ? undefined : autoModels[kind].get(vendor)

export const autoVendors = (kind: keyof typeof autoModels): string[] => [...autoModels[kind].keys()]

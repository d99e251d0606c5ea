/** What `auto` asks of a vendor: a general model of middling price, by the name the catalog knows. */
const autoModels: ReadonlyMap<string, string> = new Map([
  ['openai', 'gpt-4o'],
  ['anthropic', 'claude-sonnet-4-5'],
  ['gemini', 'gemini-2.5-flash'],
  ['deepseek', 'deepseek-chat'],
  ['mistral', 'mistral-large-latest'],
  ['qwen', 'qwen-plus'],
  ['zai', 'glm-4.5'],
  ['groq', 'llama-3.3-70b-versatile'],
  ['xai', 'grok-4-0709'],
  ['openrouter', 'openai/gpt-4o'],
])

export const autoModelOf = (vendor: string): string | undefined => autoModels.get(vendor)
export const autoVendors = (): string[] => [...autoModels.keys()]

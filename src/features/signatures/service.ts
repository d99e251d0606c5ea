import type { Target } from '../routing/service.ts'
import type { Signing } from './vault.ts'

export { lookUp, type Recalled, recall, withRecalled } from './recall.ts'
export { createKeeper, keepAnswer } from './vault.ts'

/**
 * Vendors of OpenAI's wire that want the reasoning of messages that call tools back. DeepSeek refuses the conversation
 * without it: api-docs.deepseek.com/guides/thinking_mode; Z.ai thinks worse: docs.z.ai/guides/capabilities/thinking-mode
 */
const wantReasoning: ReadonlySet<string> = new Set(['deepseek', 'zai'])

/** How a target signs what it writes; undefined for one that wants nothing back. Another account could not read it. */
export function signingOf({ provider, model }: Target): Signing | undefined {
  const { wire, account, name } = provider
  const by = `${account?.id ?? name}/${model}`
  if (wire === 'anthropic' || wire === 'gemini') return { by, texts: wire === 'gemini', reasoning: false }
  const isPlain = wire === undefined || wire === 'openai'
  return isPlain && wantReasoning.has(account?.vendor ?? name) ? { by, texts: false, reasoning: true } : undefined
}

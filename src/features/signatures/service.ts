import type { Target } from '../routing/service.ts'

export { lookUp, type Recalled, recall, withRecalled } from './recall.ts'
export { createKeeper, keepAnswer } from './vault.ts'

/** How a target signs what it writes; undefined for one that signs nothing. Another account could not read it. */
export function signingOf({ provider, model }: Target): { by: string; texts: boolean } | undefined {
  if (provider.wire !== 'anthropic' && provider.wire !== 'gemini') return undefined
  return { by: `${provider.account?.id ?? provider.name}/${model}`, texts: provider.wire === 'gemini' }
}

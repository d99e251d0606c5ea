import type { Policy } from '../../../src/core/admission.ts'
import type { Deps } from '../../../src/core/context.ts'
import { createMemory } from '../../../src/core/memory.ts'
import type { ListedModel, Provider, Timeouts } from '../../../src/core/models.ts'
import type { Target } from '../../../src/features/routing/target.ts'

const refuse = () => {
  throw new Error('this provider is not to be called')
}

export const timeouts: Timeouts = { connectMs: 10_000, firstByteMs: 30_000, idleMs: 60_000, totalMs: 600_000 }

export const provider = (name: string, given: Partial<Provider> = {}): Provider => ({
  name,
  kind: 'vendor',
  timeouts,
  chat: refuse,
  embed: refuse,
  listModels: refuse,
  ...given,
})

export const node = (name: string, listModels: Provider['listModels'] = refuse): Provider =>
  provider(name, { kind: 'node', listModels, timeouts: { ...timeouts, totalMs: 300_000 } })

export const target = (id: string, of: Provider = provider(id.slice(0, id.indexOf('/')))): Target => ({
  id,
  provider: of,
  model: id.slice(id.indexOf('/') + 1),
  entry: undefined,
  price: undefined,
})

/** Providers in their order of preference, and what the nodes among them have said they have. */
export function world(
  providers: readonly Provider[],
  listed: Readonly<Record<string, readonly (string | ListedModel)[]>> = {},
): Pick<Deps, 'providers' | 'memory' | 'now'> {
  const memory = createMemory()
  for (const [name, models] of Object.entries(listed)) {
    const known = models.map((model) => (typeof model === 'string' ? { name: model } : model))
    memory.listings.set(name, { models: known, fetchedMs: 0, failed: false, refreshing: false })
  }
  return { providers: new Map(providers.map((one) => [one.name, one])), memory, now: () => 0 }
}

export const live: Pick<Policy, 'allowedModels' | 'mode'> = { allowedModels: undefined, mode: 'live' }

import { createVendors } from '../../../src/adapters/providers/vendors.ts'
import { type Asked, readRequest } from '../../../src/features/completions/request.ts'
import { ChatRequest } from '../../../src/features/completions/schema.ts'
import { type Target, targetsFor } from '../../../src/features/routing/service.ts'
import { fakeDeps, fakePolicy } from '../../support/fake-deps.ts'

const vendors = ['openai', 'anthropic', 'deepseek', 'mistral', 'qwen']

const world = fakeDeps({
  providers: new Map(
    createVendors({
      vendors: Object.fromEntries(vendors.map((name) => [name, { apiKey: 'sk-none', baseUrl: undefined }])),
      outbound: () => Promise.reject(new Error('nothing is sent here')),
    }).map((provider) => [provider.name, provider]),
  ),
})

/** A vendor's model as routing would choose it. */
export function targetOf(vendor: string, model: string): Target {
  const wanted = { model: `${vendor}/${model}`, kind: 'chat' as const }
  const [target] = targetsFor(world, fakePolicy(), wanted).targets
  if (!target) throw new Error(`no ${vendor}/${model}`)
  return target
}

/** A request as a route hands it over. Throws when its schema refuses it. */
export const askedOf = (body: Record<string, unknown>): Asked =>
  readRequest(ChatRequest.parse({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }], ...body }))

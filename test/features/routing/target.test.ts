import { describe, expect, it } from 'vitest'
import { vendorNames } from '../../../src/env.ts'
import { modelOf } from '../../../src/features/catalog/service.ts'
import { autoModelOf } from '../../../src/features/routing/auto.ts'
import { listTargets, targetsFor, type Wanted } from '../../../src/features/routing/target.ts'
import { live, node, provider, world } from './world.ts'

const openai = provider('openai')
const openrouter = provider('openrouter')
const ollama = node('ollama')
const listed = {
  ollama: [
    { name: 'llama3.2:3b', capabilities: ['completion', 'tools'] },
    { name: 'mistral:latest', capabilities: ['completion'] },
    { name: 'llava:7b', capabilities: ['completion', 'vision'] },
    { name: 'nomic-embed-text:latest', capabilities: ['embedding'] },
    { name: 'hf.co/acme/tiny:q4' },
    { name: 'gpt-4o' },
  ],
}
const everything = world([openai, openrouter, ollama], listed)
const chat = (model: string, rest: Partial<Wanted> = {}): Wanted => ({ model, kind: 'chat', ...rest })
const idsFor = (wanted: Wanted, policy = live, where = everything) =>
  targetsFor(where, policy, wanted).targets.map(({ id }) => id)

describe('a name', () => {
  it.each([
    ['gpt-4o', ['openai/gpt-4o', 'openrouter/openai/gpt-4o', 'ollama/gpt-4o']],
    ['openai/gpt-4o', ['openai/gpt-4o']],
    ['openrouter/openai/gpt-4o', ['openrouter/openai/gpt-4o']],
    ['openrouter/somebody/brand-new:free', ['openrouter/somebody/brand-new:free']],
    ['openai/brand-new', ['openai/brand-new']],
    ['claude-3.5', ['openrouter/anthropic/claude-3.5-sonnet']],
    ['mixtral-8x7b', ['openrouter/mistralai/mixtral-8x7b-instruct']],
    ['llama3.2:3b', ['ollama/llama3.2:3b']],
    ['ollama/llama3.2:3b', ['ollama/llama3.2:3b']],
    ['mistral', ['ollama/mistral:latest']],
    ['hf.co/acme/tiny:q4', ['ollama/hf.co/acme/tiny:q4']],
    ['llama3.2', []],
    ['ollama/', []],
    ['deepseek/deepseek-chat', []],
    ['no-such-model', []],
    ['ollama/gpt-4', []],
    ['/gpt-4o', []],
    ['openai/', []],
  ])('%s leads to %j', (name, ids) => {
    expect(idsFor(chat(name))).toEqual(ids)
  })

  it("of the catalog has its price, one that a vendor alone knows has none, and a node's is free", () => {
    const priceOf = (name: string) => targetsFor(everything, live, chat(name)).targets[0]?.price
    expect(priceOf('gpt-4o')?.id).toMatch(/^openai\/gpt-4o@/)
    expect(priceOf('openai/brand-new')).toBeUndefined()
    expect(priceOf('llama3.2:3b')?.base.output).toBe(0)
  })

  it('of the other kind leads nowhere', () => {
    for (const name of ['text-embedding-3-small', 'openai/text-embedding-3-small', 'nomic-embed-text']) {
      expect(idsFor(chat(name))).toEqual([])
      expect(idsFor({ model: name, kind: 'embedding' })).toHaveLength(1)
    }
    for (const name of ['gpt-4o-mini', 'openai/gpt-4o-mini', 'llama3.2:3b']) {
      expect(idsFor({ model: name, kind: 'embedding' })).toEqual([])
    }
  })

  it('with fallbacks leads to each once, six at most, in the order they were given', () => {
    const fallbacks = ['mistral', 'openai/gpt-4o', 'gpt-4', 'llava:7b', 'llama3.2:3b']
    expect(idsFor(chat('openai/gpt-4o', { fallbacks }))).toEqual([
      'openai/gpt-4o',
      'ollama/mistral:latest',
      'openai/gpt-4',
      'openrouter/openai/gpt-4',
      'ollama/llava:7b',
      'ollama/llama3.2:3b',
    ])
  })

  it('with a provider leads there and nowhere else', () => {
    expect(idsFor(chat('gpt-4o', { provider: 'openrouter' }))).toEqual(['openrouter/openai/gpt-4o'])
    expect(idsFor(chat('gpt-4o', { provider: 'nobody' }))).toEqual([])
  })
})

describe('a node', () => {
  it('that does not answer serves nothing, but is still shown with what it had', () => {
    const away = world([ollama], listed)
    const listing = away.memory.listings.get('ollama')
    if (listing) listing.failed = true
    expect(idsFor(chat('llama3.2:3b'), live, away)).toEqual([])
    expect(idsFor(chat('auto'), live, away)).toEqual([])
    expect(listTargets(away, live)).toHaveLength(6)
  })

  it('is all that a test key reaches', () => {
    const test = { ...live, mode: 'test' as const }
    expect(idsFor(chat('gpt-4o'), test)).toEqual(['ollama/gpt-4o'])
    expect(idsFor(chat('openai/gpt-4o'), test)).toEqual([])
    expect(idsFor(chat('auto'), test)).toEqual(['ollama/llama3.2:3b'])
    expect(listTargets(everything, test).every(({ id }) => id.startsWith('ollama/'))).toBe(true)
  })
})

describe('the models of a key', () => {
  const only = (...allowedModels: string[]) => ({ ...live, allowedModels })

  it('may be named as asked, as the vendor names them, or with their vendor', () => {
    expect(idsFor(chat('claude-3.5'), only('claude-3.5'))).toHaveLength(1)
    expect(idsFor(chat('claude-3.5'), only('anthropic/claude-3.5-sonnet'))).toHaveLength(1)
    expect(idsFor(chat('gpt-4o'), only('openai/gpt-4o'))).toEqual(['openai/gpt-4o'])
    expect(idsFor(chat('auto'), only('auto'))).not.toEqual([])
  })

  it('are not widened by a fallback, a name that is allowed beside one that is not, or by auto', () => {
    expect(targetsFor(everything, only('gpt-4o'), chat('gpt-4'))).toEqual({ targets: [], forbidden: true })
    expect(targetsFor(everything, only('gpt-4o'), chat('auto')).targets.map(({ model }) => model)).toEqual(['gpt-4o'])
    expect(idsFor(chat('llama3.2:3b', { fallbacks: ['gpt-4'] }), only('llama3.2:3b'))).toEqual(['ollama/llama3.2:3b'])
    expect(targetsFor(everything, only('gpt-4o'), chat('no-such-model'))).toEqual({ targets: [], forbidden: false })
    expect(targetsFor(everything, only(), chat('gpt-4o')).forbidden).toBe(true)
  })

  it('are what is listed', () => {
    expect(listTargets(everything, only('openai/gpt-4o', 'llama3.2:3b')).map(({ id }) => id)).toEqual([
      'openai/gpt-4o',
      'ollama/llama3.2:3b',
    ])
  })
})

describe('auto', () => {
  it('knows a model of every vendor that can be configured, and the catalog knows its price', () => {
    const known = (kind: 'chat' | 'embedding') =>
      vendorNames.flatMap((vendor) => {
        const name = autoModelOf(vendor, kind)
        if (name === undefined) return []
        expect(modelOf(vendor, name), `${vendor}/${name}`).toMatchObject({ kind, price: expect.anything() })
        return [vendor]
      })
    expect(known('chat')).toEqual(vendorNames)
    expect(known('embedding').length).toBeGreaterThan(2)
  })

  it('asks the vendors in their order, then a node, three at most', () => {
    const vendors = ['openai', 'anthropic', 'gemini', 'deepseek'].map((name) => provider(name))
    expect(idsFor(chat('auto'), live, world(vendors))).toHaveLength(3)
    expect(idsFor(chat('auto:quality'))).toEqual(['openai/gpt-4o', 'openrouter/openai/gpt-4o', 'ollama/llama3.2:3b'])
  })

  it('passes over what cannot do what the request needs', () => {
    const where = world([provider('deepseek'), ollama], listed)
    expect(idsFor(chat('auto', { needs: ['vision'] }), live, where)).toEqual(['ollama/llava:7b'])
    expect(idsFor(chat('auto', { needs: ['tools'] }), live, where)).toEqual([
      'deepseek/deepseek-chat',
      'ollama/llama3.2:3b',
    ])
  })

  it('embeds with models that embed', () => {
    expect(idsFor({ model: 'auto', kind: 'embedding' })).toEqual([
      'openai/text-embedding-3-small',
      'ollama/nomic-embed-text:latest',
    ])
  })
})

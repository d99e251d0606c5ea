import { describe, expect, it } from 'vitest'
import type { Usage } from '../../../src/core/models.ts'
import { vendorCatalog } from '../../../src/core/vendors.ts'
import {
  type CatalogModel,
  costNanoUsd,
  findPrice,
  modelOf,
  modelsOf,
  nodePrice,
  pricesAsOf,
  pricesHash,
  resolveModel,
} from '../../../src/features/catalog/service.ts'

const vendorsOf = (name: string): string[] => resolveModel(name).map((model) => model.vendor)

function only(name: string): CatalogModel {
  const [model, ...others] = resolveModel(name)
  if (!model || others.length > 0) throw new Error(`${name} resolves to ${others.length + (model ? 1 : 0)} models`)
  return model
}

function first(name: string): CatalogModel {
  const [model] = resolveModel(name)
  if (!model) throw new Error(`${name} does not resolve`)
  return model
}

describe('what is expected of a model that nobody has measured', () => {
  it.each([
    ['claude-sonnet-4-5', 'claude-3-5-sonnet'],
    ['claude-opus-5', 'claude-3-opus'],
    ['gpt-4.1', 'gpt-4o'],
    ['gpt-5.5', 'gpt-4-turbo'],
    ['gemini-3.1-pro-preview', 'gemini-2.5-pro'],
    ['deepseek-v4-pro', 'deepseek-chat'],
  ])('%s is what was of the one before it, %s', (name, before) => {
    expect(first(name).prior).toEqual(first(before).prior)
    expect(first(name).prior).toBeDefined()
  })

  it.each(['gpt-5-mini', 'gpt-4.1-nano', 'llama-3.1-8b-instant', 'grok-4-fast-reasoning', 'claude-haiku-4-5'])(
    '%s, small or fast, is nothing',
    (name) => {
      expect(first(name).prior).toBeUndefined()
    },
  )
})

describe('names that always resolve', () => {
  it.each([
    ['GPT-4o', 'gpt-4o'],
    ['openai/GPT-4O-2024-08-06', 'openai/gpt-4o-2024-08-06'],
    ['Claude-3.5', 'claude-3.5'],
    ['GEMINI-2.5', 'gemini-2.5'],
    ['together/META-LLAMA/llama-3.3-70b-instruct-turbo', 'together/meta-llama/Llama-3.3-70B-Instruct-Turbo'],
  ])('%s is the same as %s', (asked, listed) => {
    expect(resolveModel(listed).length).toBeGreaterThan(0)
    expect(resolveModel(asked)).toEqual(resolveModel(listed))
  })

  it.each([
    ['gpt-3.5-turbo', ['openai'], 7, 1.2, 16_385],
    ['gpt-4o', ['openai'], 9, 1.8, 128_000],
    ['gpt-4-turbo', ['openai'], 9.5, 2.5, 128_000],
    ['gpt-4', ['openai', 'openrouter'], 9, 3, 8_192],
    ['claude-3-sonnet', ['anthropic'], 8.5, 2, 200_000],
    ['claude-3.5', ['anthropic', 'openrouter'], 9.3, 2, 200_000],
    ['claude-3-opus', ['anthropic'], 9.8, 3.5, 200_000],
    ['gemini-pro', ['gemini'], 8, 1.5, 32_760],
    ['gemini-2.5', ['gemini', 'openrouter'], 9.3, 2, 1_000_000],
    ['mistral-large', ['mistral', 'openrouter'], 8.5, 2, 32_000],
    ['mixtral-8x7b', ['openrouter'], 7.2, 1.5, 32_000],
    ['llama-3.1', ['openrouter', 'ollama'], 7.8, 1.5, 131_072],
    ['grok-4', ['openrouter'], 9.3, 3, 256_000],
    ['deepseek-chat', ['deepseek'], 8.3, 2, 64_000],
    ['deepseek-coder', ['deepseek'], 8.3, 2, 64_000],
    ['qwen-turbo', ['qwen'], 7.2, 1, 131_072],
    ['qwen-plus', ['qwen'], 8, 1.6, 131_072],
    ['qwen-max', ['qwen'], 8.6, 2.4, 32_768],
    ['glm-4.5', ['zai'], 8.4, 2, 128_000],
  ])('%s is served by %j with its prior and window', (name, vendors, quality, latencySeconds, contextWindow) => {
    const served = resolveModel(name)
    expect(served.map((model) => model.vendor)).toEqual(expect.arrayContaining(vendors))
    for (const model of served) {
      expect(model.prior).toEqual({ quality, latencySeconds })
      expect(model.price).toBeDefined()
      expect(model.kind).toBe('chat')
      expect(model.capabilities).toContain('completion')
    }
    expect(first(name).contextWindow).toBe(contextWindow)
  })

  it('serves embeddings and transcription by OpenAI and by nodes', () => {
    expect(first('text-embedding-3-large')).toMatchObject({ vendor: 'openai', kind: 'embedding', contextWindow: 8_192 })
    expect(only('nomic-embed-text')).toMatchObject({ vendor: 'node', kind: 'embedding', price: nodePrice })
    expect(only('nomic-embed-text').contextWindow).toBe(8_192)
    expect(only('whisper')).toMatchObject({ vendor: 'node', kind: 'transcription', price: nodePrice })
  })

  it('puts the maker of a model before hosts, and OpenRouter last but for nodes', () => {
    expect(vendorsOf('gpt-4o')).toEqual(['openai', 'openrouter'])
    expect(vendorsOf('grok-4')).toEqual(['xai', 'openrouter'])
    expect(vendorsOf('llama-3.1')).toEqual(['openrouter', 'ollama'])
  })
})

describe('the name that a vendor is sent', () => {
  it.each([
    ['gpt-4o-2024-11-20', 'openai', 'gpt-4o-2024-11-20'],
    ['gpt-4.1-2099-01-31', 'openai', 'gpt-4.1-2099-01-31'],
    ['claude-3.5', 'anthropic', 'claude-3-5-sonnet-latest'],
    ['claude-3.5', 'openrouter', 'anthropic/claude-3.5-sonnet'],
    ['claude-3-opus', 'anthropic', 'claude-3-opus-latest'],
    ['claude-3-opus-20240229', 'anthropic', 'claude-3-opus-20240229'],
    ['claude-3-sonnet', 'anthropic', 'claude-3-sonnet-20240229'],
    ['claude-haiku-4-5-20251001', 'anthropic', 'claude-haiku-4-5-20251001'],
    ['claude-sonnet-4.5', 'anthropic', 'claude-sonnet-4-5'],
    ['claude-sonnet-4-5', 'openrouter', 'anthropic/claude-sonnet-4.5'],
    ['gemini-2.5', 'gemini', 'gemini-2.5-pro'],
    ['gemini-2.5-pro-preview-05-06', 'gemini', 'gemini-2.5-pro-preview-05-06'],
    ['gemini-2.0-flash-001', 'gemini', 'gemini-2.0-flash-001'],
    ['gemma-3-27b-it', 'gemini', 'gemma-3-27b-it'],
    ['mistral-large', 'mistral', 'mistral-large-latest'],
    ['mistral-large', 'openrouter', 'mistralai/mistral-large'],
    ['deepseek-coder', 'deepseek', 'deepseek-coder'],
    ['llama-3.1', 'ollama', 'llama3.1'],
    ['GLM-5.3', 'zai', 'glm-5.3'],
  ])('%s goes to %s as %s', (name, vendor, sent) => {
    expect(modelOf(vendor, name)?.name).toBe(sent)
    expect(resolveModel(name).find((model) => model.vendor === vendor)?.name).toBe(sent)
  })

  it('does not send OpenRouter a family when a version was asked for', () => {
    expect(vendorsOf('gpt-4.1-2099-01-31')).toEqual(['openai'])
    expect(modelOf('openrouter', 'claude-sonnet-4-5-20991231')).toBeUndefined()
  })

  it('takes no other model for a version of one', () => {
    for (const name of [
      'gemini-2.5-pro-tts',
      'gpt-4o-mega',
      'claude-sonnet-5-9',
      'gpt-4-latest',
      'claude-opus-5-turbo',
    ]) {
      expect(resolveModel(name)).toEqual([])
    }
  })

  it('describes an alias by its own abilities at the price of its row', () => {
    const chat = modelOf('openai', 'gpt-5-chat-latest')
    expect(chat?.capabilities).not.toContain('tools')
    expect(chat?.price).toBe(modelOf('openai', 'gpt-5')?.price)
  })
})

describe('explicit vendors', () => {
  it('asks that vendor alone', () => {
    expect(only('anthropic/claude-3-opus')).toMatchObject({ vendor: 'anthropic', name: 'claude-3-opus-latest' })
    expect(only('openrouter/anthropic/claude-3.5-sonnet')).toMatchObject({
      vendor: 'openrouter',
      name: 'anthropic/claude-3.5-sonnet',
    })
    expect(only('openrouter/gpt-4o').name).toBe('openai/gpt-4o')
    expect(only('groq/openai/gpt-oss-120b')).toMatchObject({ vendor: 'groq', name: 'openai/gpt-oss-120b' })
  })

  it('finds names with a slash whose first part is no vendor of ours', () => {
    expect(vendorsOf('meta-llama/llama-3.1-70b-instruct')).toEqual(['openrouter'])
    expect(vendorsOf('mistralai/Mixtral-8x7B-Instruct-v0.1')).toEqual(['together'])
    expect(vendorsOf('~anthropic/claude-opus-latest')).toEqual(['openrouter'])
    expect(resolveModel('nobody/claude-3-opus')).toEqual([])
  })

  it('passes on names that the catalog does not know, without a price', () => {
    expect(only('openai/gpt-99-mini')).toMatchObject({ vendor: 'openai', name: 'gpt-99-mini', kind: 'chat' })
    expect(only('openai/gpt-99-mini').price).toBeUndefined()
    expect(only('openai/text-embedding-9').kind).toBe('embedding')
    expect(only('openrouter/new/model').name).toBe('new/model')
    expect(only('openrouter/auto').name).toBe('openrouter/auto')
    expect(only('ollama/anything:7b')).toMatchObject({ vendor: 'ollama', name: 'anything:7b', price: nodePrice })
  })

  it('has nothing for an empty name', () => {
    expect(resolveModel('openai/')).toEqual([])
    expect(resolveModel('/gpt-4o')).toEqual([])
    expect(resolveModel('')).toEqual([])
  })
})

describe('names nobody serves', () => {
  it.each([
    'no-such-model',
    '__proto__',
    'constructor',
    'toString',
    '__proto__/gpt-4o',
    'a'.repeat(300),
    'gpt-4o\n',
    '|',
  ])('%j resolves to nothing', (name) => {
    expect(resolveModel(name)).toEqual([])
    expect(modelOf('openai', name)).toBeUndefined()
    expect(modelOf(name, 'gpt-4o')).toBeUndefined()
    expect(modelsOf(name)).toEqual([])
    expect(findPrice(name)).toBeUndefined()
  })

  it('answers the same after more names than it remembers', () => {
    for (let at = 0; at < 2_000; at += 1) resolveModel(`openai/unheard-of-${at}`)
    expect(vendorsOf('gpt-4o')).toEqual(['openai', 'openrouter'])
  })
})

describe('models of a vendor', () => {
  it('lists each once under a name that finds it again', () => {
    for (const { name: vendor } of vendorCatalog) {
      const models = modelsOf(vendor)
      expect(models.length, vendor).toBeGreaterThan(2)
      expect(new Set(models.map((model) => model.name)).size, vendor).toBe(models.length)
      for (const model of models) expect(modelOf(vendor, model.name), model.name).toBe(model)
    }
    expect(modelsOf('openrouter').length).toBeGreaterThan(400)
  })

  it('prices every model, and none at zero but free ones and nodes', () => {
    for (const vendor of ['openai', 'anthropic', 'gemini', 'deepseek', 'mistral', 'qwen', 'zai', 'xai', 'openrouter']) {
      for (const { name, price, kind } of modelsOf(vendor)) {
        const isFree = name.endsWith(':free') || /^gemma-[34]/.test(name)
        expect((price?.base.input ?? 0) > 0, `${vendor}/${name}`).toBe(!isFree)
        expect((price?.base.output ?? 0) > 0 || kind === 'embedding', `${vendor}/${name}`).toBe(!isFree)
      }
    }
  })

  it('never allows more output than the window holds', () => {
    for (const { name, maxOutputTokens, contextWindow } of modelsOf('openrouter')) {
      expect(maxOutputTokens ?? 0, name).toBeLessThanOrEqual(contextWindow ?? Number.POSITIVE_INFINITY)
    }
  })

  it('bounds an image by the family, far higher for gpt-4o-mini', () => {
    expect(first('gpt-4o').imageTokenBound).toBe(1_445)
    expect(first('gpt-4o-mini').imageTokenBound).toBe(48_169)
    expect(first('claude-opus-5').imageTokenBound).toBe(4_784)
  })

  it('knows what the well-known families can do', () => {
    expect(first('gpt-4o').capabilities).toEqual(['completion', 'tools', 'json_schema', 'vision'])
    expect(first('gpt-3.5-turbo').capabilities).toEqual(['completion', 'tools'])
    expect(first('claude-opus-5').capabilities).toContain('reasoning')
    expect(first('claude-3-haiku').capabilities).not.toContain('reasoning')
    expect(first('text-embedding-3-small').capabilities).toEqual(['embedding'])
    expect(first('claude-3-opus').deprecated).toBe(true)
    expect(first('claude-opus-5').deprecated).toBeUndefined()
  })
})

describe('cost', () => {
  const none = { prompt: 0, cached: 0, cacheWrite: 0, completion: 0, reasoning: 0 }
  const cost = (name: string, usage: Partial<Usage>): number => {
    const { price } = first(name)
    if (!price) throw new Error(`${name} has no price`)
    return costNanoUsd(price, { ...none, ...usage })
  }

  it('charges known prices exactly', () => {
    expect(cost('gpt-4o', { prompt: 1_000_000 })).toBe(2_500_000_000)
    expect(cost('gpt-4o', { prompt: 1_000, cached: 400, completion: 100, reasoning: 60 })).toBe(3_000_000)
    expect(cost('claude-3.5', { prompt: 1_000, cached: 200, cacheWrite: 300, completion: 10 })).toBe(2_835_000)
    expect(cost('text-embedding-3-large', { prompt: 8 })).toBe(1_040)
    expect(cost('qwen-max', { prompt: 10, completion: 10 })).toBe(80_000)
    expect(cost('nomic-embed-text', { prompt: 5_000 })).toBe(0)
  })

  it('prices the whole call by the tier that its prompt passes', () => {
    const { price } = first('gemini-2.5-pro')
    expect(price?.tiers.map((tier) => tier.abovePromptTokens)).toEqual([200_000])
    expect(cost('gemini-2.5-pro', { prompt: 200_000, completion: 1_000 })).toBe(200_000 * 1_250 + 1_000 * 10_000)
    expect(cost('gemini-2.5-pro', { prompt: 200_001, completion: 1_000 })).toBe(200_001 * 2_500 + 1_000 * 15_000)
    expect(cost('qwen3-max', { prompt: 32_001 })).toBe(32_001 * 2_400)
    expect(cost('qwen3-max', { prompt: 128_001 })).toBe(128_001 * 3_000)
  })

  it('charges cache writes that are kept for an hour at their own price, where they have one', () => {
    // Of claude-opus-4-5: 6.25 USD a million, and 10 for an hour.
    expect(cost('claude-opus-4-5', { prompt: 1_000, cacheWrite: 1_000 })).toBe(1_000 * 6_250)
    expect(cost('claude-opus-4-5', { prompt: 1_000, cacheWrite: 1_000, cacheWriteHour: 400 })).toBe(7_750_000)
    expect(cost('claude-sonnet-4-5', { prompt: 300_000, cacheWrite: 10, cacheWriteHour: 10 })).toBe(
      299_990 * 6_000 + 10 * 12_000,
    )
    expect(cost('gpt-4o', { prompt: 10, cacheWrite: 10, cacheWriteHour: 4 })).toBe(10 * 2_500)
    expect(cost('claude-opus-4-5', { prompt: 10, cacheWrite: 10, cacheWriteHour: 11 })).toBe(10 * 10_000)
  })

  it('charges cached tokens even when a vendor counts more of them than prompt tokens', () => {
    expect(cost('gpt-4o', { prompt: 5, cached: 10 })).toBe(10 * 1_250)
  })

  it('books the dearer hours of a price that depends on the hour', () => {
    expect(first('deepseek-v4-pro').price?.base.output).toBe(3_960_000_000)
    expect(first('deepseek-chat').price?.base.input).toBe(270_000_000)
  })
})

describe('price ids', () => {
  it('find the price again, for dated names the price of the family', () => {
    for (const vendor of ['openai', 'gemini', 'openrouter', 'together']) {
      for (const { price } of modelsOf(vendor)) expect(price && findPrice(price.id)).toBe(price)
    }
    expect(first('gpt-4o-2024-11-20').price).toBe(first('gpt-4o').price)
    expect(findPrice('node@free')).toBe(nodePrice)
  })

  it('name the vendor, the model and the figures', () => {
    expect(first('gpt-4o').price?.id).toMatch(/^openai\/gpt-4o@[0-9a-f]{8}$/)
    expect(first('gpt-4o').price?.id).not.toBe(modelOf('openrouter', 'gpt-4o')?.price?.id)
    expect(pricesHash).toMatch(/^[0-9a-f]{16}$/)
    expect(pricesAsOf).toMatch(/^\d{4}-\d{2}-\d{2}$/)
  })

  it('are of no use once the figures have changed', () => {
    for (const id of ['openai/gpt-4o@00000000', 'openai/gpt-4o', 'gpt-4o@00000000', '@', '/', '']) {
      expect(findPrice(id)).toBeUndefined()
    }
  })
})

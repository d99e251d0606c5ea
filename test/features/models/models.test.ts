import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { errorIn } from '../../support/client-error.ts'
import { startGateway, type TestGatewayOptions } from '../../support/gateway.ts'

const Model = z.strictObject({
  id: z.string(),
  object: z.literal('model'),
  created: z.int(),
  owned_by: z.string(),
  helix: z
    .strictObject({
      capabilities: z.array(z.string()),
      context_window: z.int().nullable(),
      max_output_tokens: z.int().nullable(),
      deprecated: z.boolean(),
      prices: z
        .strictObject({ input_usd: z.number(), cached_input_usd: z.number(), output_usd: z.number() })
        .nullable(),
    })
    .optional(),
})
const List = z.strictObject({ object: z.literal('list'), data: z.array(Model) })

const both: TestGatewayOptions = { vendors: ['openai', 'openrouter'], nodeModels: ['llama3.2:3b'] }

async function listOf(options: TestGatewayOptions, query = '') {
  const { call } = await startGateway(options)
  return List.parse(await (await call(`/v1/models${query}`)).json()).data
}

async function modelOf(name: string, options = both) {
  const { call } = await startGateway(options)
  const response = await call(`/v1/models/${name}`)
  return response.status === 200 ? Model.parse(await response.json()) : errorIn(response)
}

describe('GET /v1/models', () => {
  it('lists each model of each provider once, in names that chat takes as they are', async () => {
    const models = await listOf(both)
    const ids = models.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toEqual(expect.arrayContaining(['openai/gpt-4o', 'openrouter/openai/gpt-4o', 'ollama/llama3.2:3b']))
    expect(models.every(({ id, owned_by: owner }) => id.startsWith(`${owner}/`))).toBe(true)
    expect(models.some(({ helix }) => helix)).toBe(false)
  })

  it('lists only what the key may use', async () => {
    const ids = async (policy: TestGatewayOptions['policy'] = {}) =>
      (await listOf({ ...both, policy })).map(({ id }) => id)
    expect(await ids({ allowedModels: ['gpt-4o', 'ollama/llama3.2:3b'] })).toEqual([
      'openai/gpt-4o',
      'ollama/llama3.2:3b',
    ])
    expect(await ids({ mode: 'test' })).toEqual(['ollama/llama3.2:3b'])
    expect(await ids({ allowedModels: [] })).toEqual([])
  })

  it('tells more of each when asked', async () => {
    const models = await listOf(both, '?details=true')
    expect(models.every(({ helix }) => helix)).toBe(true)
    expect(models.find(({ id }) => id === 'openai/gpt-4o')?.helix).toEqual({
      capabilities: expect.arrayContaining(['completion', 'tools', 'vision']),
      context_window: 128_000,
      max_output_tokens: 16_384,
      deprecated: false,
      prices: { input_usd: 2.5, cached_input_usd: 1.25, output_usd: 10 },
    })
    expect(models.find(({ id }) => id === 'ollama/llama3.2:3b')?.helix).toEqual({
      capabilities: ['completion', 'tools', 'thinking'],
      context_window: 131_072,
      max_output_tokens: null,
      deprecated: false,
      prices: { input_usd: 0, cached_input_usd: 0, output_usd: 0 },
    })
  })

  it('needs the scope', async () => {
    const { call } = await startGateway({ ...both, policy: { scopes: ['chat:write'] } })
    expect(await errorIn(await call('/v1/models'))).toMatchObject({ status: 403, code: 'permission_denied' })
  })
})

describe('GET /v1/models/{model}', () => {
  it.each([
    ['gpt-4o', 'openai/gpt-4o'],
    ['openai/gpt-4o', 'openai/gpt-4o'],
    ['openai%2Fgpt-4o', 'openai/gpt-4o'],
    ['openrouter/openai/gpt-4o', 'openrouter/openai/gpt-4o'],
    ['llama3.2:3b', 'ollama/llama3.2:3b'],
    ['llama3.2%3A3b', 'ollama/llama3.2:3b'],
    ['claude-3.5', 'openrouter/anthropic/claude-3.5-sonnet'],
    ['openai/gpt-4o-2024-11-20', 'openai/gpt-4o-2024-11-20'],
  ])('finds %s as %s', async (name, id) => {
    expect(await modelOf(name)).toEqual({ id, object: 'model', created: 0, owned_by: id.slice(0, id.indexOf('/')) })
  })

  it('tells more when asked', async () => {
    expect(await modelOf('gpt-4o?details=true')).toMatchObject({ helix: { context_window: 128_000 } })
    expect(await modelOf('deepseek/deepseek-chat?details=true', { vendors: ['deepseek'] })).toMatchObject({
      helix: { deprecated: true },
    })
    expect(await modelOf('gpt-4o?details=false')).not.toHaveProperty('helix')
  })

  it.each(['no-such-model', 'deepseek/deepseek-chat', 'ollama/gpt-4o', 'constructor', '__proto__'])(
    'does not find %s',
    async (name) => {
      expect(await modelOf(name)).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' })
    },
  )

  it('does not show what the key may not use', async () => {
    const policy = { allowedModels: ['gpt-4o-mini'] }
    expect(await modelOf('gpt-4o', { ...both, policy })).toMatchObject({ status: 404 })
    expect(await modelOf('gpt-4o-mini', { ...both, policy })).toMatchObject({ id: 'openai/gpt-4o-mini' })
  })
})

import { describe, expect, it } from 'vitest'
import { createVendors, vendorOrigins } from '../../../src/adapters/providers/vendors.ts'
import { callOf, json, scripted, upstreamFailure, vendor } from './support.ts'

describe('embeddings', () => {
  const embed = (data: unknown, input: string | string[] | number[] = ['a', 'b']) => {
    const script = scripted(() => json({ object: 'list', data, usage: { prompt_tokens: 4, total_tokens: 4 } }))
    const body = { model: 'asked', input, encoding_format: 'base64', dimensions: 2 } as const
    return { ...script, work: vendor(script.outbound).embed({ ...callOf(), body }) }
  }

  it('come back in input order, as numbers', async () => {
    const base64 = btoa(String.fromCharCode(...new Uint8Array(new Float32Array([0.5, -2]).buffer)))
    const { work, requests, sent } = embed([
      { index: 1, embedding: [3, 4] },
      { index: 0, embedding: base64 },
    ])
    expect(await work).toEqual({
      vectors: [
        [0.5, -2],
        [3, 4],
      ],
      promptTokens: 4,
      ignored: [],
    })
    expect(requests[0]?.url).toBe('https://vendor.test/v1/embeddings')
    expect(sent()).toEqual({ model: 'upstream-model', input: ['a', 'b'], dimensions: 2 })
  })

  it('of one token list are one vector', async () => {
    expect((await embed([{ embedding: [1] }], [9906, 1917]).work).vectors).toEqual([[1]])
  })

  it.each([
    ['too few', [{ index: 0, embedding: [1] }]],
    [
      'the same twice',
      [
        { index: 0, embedding: [1] },
        { index: 0, embedding: [2] },
      ],
    ],
    [
      'no numbers',
      [
        { index: 0, embedding: [1] },
        { index: 1, embedding: ['x'] },
      ],
    ],
    [
      'broken base64',
      [
        { index: 0, embedding: [1] },
        { index: 1, embedding: '%%%' },
      ],
    ],
    ['nothing', undefined],
  ])('are garbage with %s', async (_name, data) => {
    expect(await upstreamFailure(embed(data).work)).toMatchObject({ fault: 'garbage' })
  })
})

describe('the list of models', () => {
  it('reads names and windows in every vendor’s words', async () => {
    const data = [
      { id: 'a', context_length: 10 },
      { id: 'b', context_window: 20 },
      { id: 'c', max_context_length: 30 },
      { x: 1 },
    ]
    const list = (body: unknown) => vendor(scripted(() => json(body)).outbound).listModels(new AbortController().signal)
    const expected = [
      { name: 'a', contextWindow: 10 },
      { name: 'b', contextWindow: 20 },
      { name: 'c', contextWindow: 30 },
    ]
    expect(await list({ object: 'list', data })).toEqual(expected)
    expect(await list(data)).toEqual(expected)
    expect(await upstreamFailure(list({}))).toMatchObject({ fault: 'garbage' })
  })
})

describe('the configured vendors', () => {
  it('are those with a key, in order of priority, at their own or the given address', async () => {
    const { outbound, requests } = scripted(() => json({ data: [] }))
    const vendors = {
      openrouter: { apiKey: 'or-key', baseUrl: undefined },
      anthropic: { apiKey: 'an-key\n', baseUrl: undefined },
      gemini: { apiKey: 'ge-key', baseUrl: undefined },
      openai: { apiKey: 'oa-key', baseUrl: 'http://127.0.0.1:9999/v1' },
      nobody: { apiKey: 'x', baseUrl: undefined },
    }
    const providers = createVendors({ vendors, outbound })
    expect(providers.map(({ name, kind }) => [name, kind])).toEqual([
      ['openai', 'vendor'],
      ['anthropic', 'vendor'],
      ['gemini', 'vendor'],
      ['openrouter', 'vendor'],
    ])
    expect(vendorOrigins(vendors)).toEqual([
      'http://127.0.0.1:9999',
      'https://api.anthropic.com',
      'https://generativelanguage.googleapis.com',
      'https://openrouter.ai',
    ])
    for (const provider of providers) await provider.listModels(new AbortController().signal)
    expect(requests.map(({ url }) => url)).toEqual([
      'http://127.0.0.1:9999/v1/models',
      'https://api.anthropic.com/v1/models?limit=1000',
      'https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000',
      'https://openrouter.ai/api/v1/models',
    ])
    expect(requests[2]?.headers).toMatchObject({ 'x-goog-api-key': 'ge-key' })
    expect(requests[1]?.headers).toMatchObject({ 'x-api-key': 'an-key', 'anthropic-version': '2023-06-01' })
  })

  it('refuse a key that no header can carry, without showing it', () => {
    const { outbound } = scripted(() => json({}))
    expect(() => vendor(outbound, { apiKey: 'sk-a\nb' })).toThrow(/^(?!.*sk-a).*vendor/)
  })
})

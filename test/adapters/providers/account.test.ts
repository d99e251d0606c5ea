import { describe, expect, it } from 'vitest'
import { createAccountProvider } from '../../../src/adapters/providers/account.ts'
import type { ChatBody, ProviderSpec } from '../../../src/core/models.ts'
import { OutboundError, type OutboundRequest } from '../../../src/core/outbound.ts'
import { vendorTimeouts } from '../../../src/core/vendors.ts'

function start(given: Partial<ProviderSpec> = {}) {
  const sent: OutboundRequest[] = []
  const provider = createAccountProvider(
    {
      name: 'own',
      kind: 'openai_compatible',
      baseUrl: 'https://models.example.com/v1',
      apiKey: 'key-of-a-test',
      quirks: {},
      timeouts: vendorTimeouts,
      wholeTotalMs: 60_000,
      ...given,
    },
    {
      outbound: async (request) => {
        sent.push(request)
        throw new OutboundError('connect', 'nobody is there')
      },
      now: () => 0,
    },
  )
  const chat = async (body: Partial<ChatBody> = {}) => {
    const whole = { model: 'a-model', messages: [{ role: 'user', content: 'Hello' }], ...body }
    const signal = new AbortController().signal
    const call = { requestId: 'req_1', model: 'a-model', body: whole, signal, timeouts: vendorTimeouts }
    await provider.chat(call).catch(() => undefined)
    const text = sent.at(-1)?.body
    return { request: sent.at(-1), body: typeof text === 'string' ? JSON.parse(text) : undefined }
  }
  return { provider, chat }
}

describe('a provider that an organisation described', () => {
  it.each([
    ['openai_compatible', 'https://models.example.com/v1/chat/completions', 'authorization', 'Bearer key-of-a-test'],
    ['anthropic', 'https://models.example.com/v1/messages', 'x-api-key', 'key-of-a-test'],
    ['ollama', 'https://models.example.com/v1/api/chat', 'authorization', 'Bearer key-of-a-test'],
  ] as const)('of kind %s is asked through the guard at %s', async (kind, url, header, value) => {
    const { request } = await start({ kind }).chat()
    expect(request).toMatchObject({ url, purpose: 'account', headers: { [header]: value } })
  })

  it('of kind gemini is asked through the guard', async () => {
    const { request } = await start({ kind: 'gemini', baseUrl: 'https://models.example.com' }).chat()
    expect(request).toMatchObject({ purpose: 'account', headers: { 'x-goog-api-key': 'key-of-a-test' } })
    expect(request?.url).toMatch(/^https:\/\/models\.example\.com\/v1beta\/models\/a-model:generateContent/)
  })

  it('needs no key when it is a node', async () => {
    const { request } = await start({ kind: 'ollama', apiKey: undefined }).chat()
    expect(Object.keys(request?.headers ?? {})).not.toContain('authorization')
  })

  it('has the ways of its vendor, and over them its own', async () => {
    const wish = { max_tokens: 7, top_k: 3, seed: 5 }
    expect((await start().chat(wish)).body).toMatchObject(wish)
    const openai = await start({ vendor: 'openai' }).chat(wish)
    expect(openai.body).toMatchObject({ max_completion_tokens: 7, seed: 5 })
    expect(openai.body).not.toHaveProperty('top_k')
    const quirks = { rename: { seed: 'random_seed' }, omit: ['stop'] }
    const own = await start({ vendor: 'openai', quirks }).chat({ ...wish, stop: 'x' })
    expect(own.body).toMatchObject({ max_completion_tokens: 7, random_seed: 5 })
    expect(own.body).not.toHaveProperty('stop')
    expect(own.body).not.toHaveProperty('top_k')
  })

  it('refuses a key that no header can carry, without showing it', () => {
    for (const kind of ['openai_compatible', 'anthropic', 'gemini', 'ollama'] as const) {
      const make = () => start({ kind, apiKey: 'a\nkey' })
      expect(make).toThrow(/characters that no header can carry/)
      expect(make).not.toThrow(/a\nkey/)
    }
  })
})

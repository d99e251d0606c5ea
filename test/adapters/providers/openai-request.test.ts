import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openAiChatRequest } from '../../../src/adapters/providers/openai-request.ts'
import { type VendorQuirks, vendorCatalog } from '../../../src/core/vendors.ts'
import { callOf } from './support.ts'

const plain: VendorQuirks = { maxTokensField: 'max_tokens', supportsStreamUsage: true }

const quirksOf = (name: string): VendorQuirks => {
  const row = vendorCatalog.find((entry) => entry.name === name)
  if (row === undefined) throw new Error(`no row ${name}`)
  return row.quirks
}

describe('a chat body on its way to a vendor', () => {
  it('carries the upstream name and every field that we do not know', () => {
    const { body, ignored } = openAiChatRequest(callOf({ future_field: { deep: [1] }, temperature: 0.3 }), plain)
    expect(body).toEqual({
      model: 'upstream-model',
      messages: [{ role: 'user', content: 'Hi' }],
      future_field: { deep: [1] },
      temperature: 0.3,
    })
    expect(ignored).toEqual([])
  })

  it('leaves out what is meant for the gateway, and leaves the caller’s body alone', () => {
    const call = callOf({ helix: {}, provider: 'x', force_provider: 'x', ensemble_config: {}, max_tokens: 5 })
    const before = structuredClone(call.body)
    const { body, ignored } = openAiChatRequest(call, plain)
    expect(Object.keys(body).sort()).toEqual(['max_tokens', 'messages', 'model'])
    expect(ignored).toEqual([])
    expect(call.body).toEqual(before)
  })

  it.each([
    [{ max_tokens: 50 }, undefined, 50],
    [{ max_tokens: 50 }, 20, 20],
    [{ max_tokens: 10 }, 20, 10],
    [{ max_completion_tokens: 30, max_tokens: 50 }, undefined, 30],
    [{ max_tokens: null }, 20, 20],
    [{}, 20, 20],
    [{}, undefined, undefined],
  ])('of %j within %j asks for %j tokens, under the vendor’s own name', (body, maxOutputTokens, expected) => {
    const newer: VendorQuirks = { ...plain, maxTokensField: 'max_completion_tokens' }
    for (const quirks of [plain, newer]) {
      const sent = openAiChatRequest(callOf(body, { maxOutputTokens }), quirks).body
      expect(sent[quirks.maxTokensField]).toBe(expected)
      const other = quirks === plain ? 'max_completion_tokens' : 'max_tokens'
      expect(sent).not.toHaveProperty(other)
    }
  })

  it('always asks a stream for its usage, beside what the caller asked', () => {
    const options = { include_usage: false, include_obfuscation: false }
    const { body } = openAiChatRequest(callOf({ stream: true, stream_options: options }), plain)
    expect(body.stream_options).toEqual({ include_usage: true, include_obfuscation: false })
    expect(openAiChatRequest(callOf(), plain).body).not.toHaveProperty('stream_options')
  })

  it('asks nothing of a vendor that does not know stream options', () => {
    const sent = openAiChatRequest(
      callOf({ stream: true, stream_options: { include_usage: true } }),
      quirksOf('mistral'),
    )
    expect(sent.body).not.toHaveProperty('stream_options')
    expect(sent.ignored).toEqual([])
  })

  it('drops what the vendor refuses and says so, unless it asked for nothing', () => {
    const asked = callOf({ logit_bias: { 50: 1 }, logprobs: true, n: 2, top_p: 1 })
    const { body, ignored } = openAiChatRequest(asked, quirksOf('groq'))
    expect(Object.keys(body).sort()).toEqual(['messages', 'model', 'top_p'])
    expect([...ignored].sort()).toEqual(['logit_bias', 'logprobs', 'n'])
    const neutral = callOf({ logit_bias: {}, logprobs: false, n: 1 })
    expect(openAiChatRequest(neutral, quirksOf('groq')).ignored).toEqual([])
  })

  it('leaves out what Cerebras answers with 400, and gives it instructions as a system message', () => {
    const asked = callOf({ frequency_penalty: 1, logit_bias: { 5: 1 }, seed: 7, max_tokens: 9 })
    const call = { ...asked, body: { ...asked.body, messages: [{ role: 'developer', content: 'Be brief.' }] } }
    const { body, ignored } = openAiChatRequest(call, quirksOf('cerebras'))
    expect(body).toMatchObject({ seed: 7, max_completion_tokens: 9, messages: [{ role: 'system' }] })
    expect([...ignored].sort()).toEqual(['frequency_penalty', 'logit_bias'])
  })

  it('asks Alibaba for no thoughts, whose price is another', () => {
    const { body, ignored } = openAiChatRequest(callOf({ enable_thinking: true, thinking_budget: 9 }), quirksOf('qwen'))
    expect(Object.keys(body)).not.toContain('enable_thinking')
    expect([...ignored].sort()).toEqual(['enable_thinking', 'thinking_budget'])
  })

  it('gives a routing block to the vendor that knows it, and is reported by every other', () => {
    const provider = { order: ['a'], allow_fallbacks: false }
    for (const { name, quirks } of vendorCatalog) {
      const { body, ignored } = openAiChatRequest(callOf({ provider }), quirks)
      expect([name, body.provider, ignored]).toEqual(
        name === 'openrouter' ? [name, provider, []] : [name, undefined, ['provider']],
      )
    }
  })

  it('reports what is not built anywhere', () => {
    const { body, ignored } = openAiChatRequest(callOf({ ensemble_config: { size: 3 } }), plain)
    expect(body).not.toHaveProperty('ensemble_config')
    expect(ignored).toEqual(['ensemble_config'])
  })

  it('reaches no other model of a router than the one that was asked', () => {
    const ways = {
      models: ['dear/one'],
      route: 'fallback',
      plugins: [{ id: 'web' }],
      preset: 'mine',
      transforms: ['middle-out'],
    }
    const { body, ignored } = openAiChatRequest(callOf(ways), quirksOf('openrouter'))
    expect(Object.keys(body).sort()).toEqual(['messages', 'model'])
    expect([...ignored].sort()).toEqual(Object.keys(ways).sort())
  })

  it.each(['flex', 'priority', 'scale', 'fast', 7])('is asked at the listed price, not in the tier %s', (tier) => {
    for (const { quirks } of vendorCatalog) {
      const { body, ignored } = openAiChatRequest(callOf({ service_tier: tier }), quirks)
      expect(body).not.toHaveProperty('service_tier')
      expect(ignored).toEqual(['service_tier'])
    }
  })

  it.each(['auto', 'default', null])('keeps the tier %s', (tier) => {
    const { body, ignored } = openAiChatRequest(callOf({ service_tier: tier }), quirksOf('openai'))
    expect([body.service_tier, ignored]).toEqual([tier, []])
  })

  it('renames fields and roles, and drops fields of messages, as the row says', () => {
    const messages = [
      { role: 'developer', content: 'Be brief.' },
      { role: 'assistant', content: 'Ok', reasoning_content: 'hm' },
    ]
    const { body, ignored } = openAiChatRequest(callOf({ messages, seed: 7 }), quirksOf('mistral'))
    expect(body).toEqual({
      model: 'upstream-model',
      random_seed: 7,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'assistant', content: 'Ok' },
      ],
    })
    expect(ignored).toEqual(['messages[].reasoning_content'])
    expect(messages[1]).toHaveProperty('reasoning_content')
  })

  it('passes messages on as they are to a vendor without quirks', () => {
    const messages = [{ role: 'developer', content: [{ type: 'text', text: 'x', own: {} }], name: 'n' }]
    expect(openAiChatRequest(callOf({ messages }), quirksOf('openai')).body.messages).toBe(messages)
  })
})

describe('the catalog', () => {
  it('has one row a vendor, each with an https address, its own name and priority', () => {
    const names = vendorCatalog.map((row) => row.name)
    expect(new Set(names).size).toBe(names.length)
    expect(new Set(vendorCatalog.map((row) => row.priority)).size).toBe(names.length)
    for (const row of vendorCatalog) {
      expect(row.baseUrl).toMatch(/^https:\/\/[^/]+(\/.*[^/])?$/)
      expect(row.envPrefix).toMatch(/^[A-Z]+$/)
    }
  })

  it('is what the documentation says', async () => {
    const text = await readFile(join(import.meta.dirname, '../../../docs/providers.md'), 'utf8')
    for (const { envPrefix, baseUrl } of vendorCatalog) {
      expect(text).toMatch(new RegExp(`\\| \`${envPrefix}_API_KEY\` \\|[^|]+\\| \`${baseUrl.replaceAll('.', '\\.')}\``))
    }
  })
})

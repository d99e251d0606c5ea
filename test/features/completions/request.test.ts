import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { estimateTokens } from '../../../src/core/tokens.ts'
import { costBound, heldOutput, sliceOf } from '../../../src/features/completions/ask.ts'
import {
  estimatedPrompt,
  expectedTokens,
  inputBound,
  outputBound,
  outputPerChoice,
} from '../../../src/features/completions/request.ts'
import { askedOf, targetOf } from './world.ts'

const target = targetOf('openai', 'gpt-4o')
const unlisted = targetOf('openai', 'of-my-own')
const limit = target.entry?.maxOutputTokens ?? 0
const picture = (bytes: number) => ({
  type: 'image_url',
  image_url: { url: `data:image/png;base64,${'A'.repeat(bytes)}` },
})
const userSays = (...content: unknown[]) => ({ messages: [{ role: 'user', content }] })

describe('reading a request', () => {
  it('takes out what is ours, and leaves the rest as it is', () => {
    const vendors = { vendors_own: { a: [1] }, logit_bias: { '1': 2 }, metadata: { a: 'b' } }
    const asked = askedOf({ ...vendors, helix: { strict: true, on_disconnect: 'drain', fallback_models: ['m'] } })
    expect(asked.body).toEqual({ model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }], ...vendors })
    expect(asked).toMatchObject({ strict: true, onDisconnect: 'drain', stream: false, includeUsage: false })
    expect(asked.wanted).toMatchObject({ model: 'gpt-4o', fallbacks: ['m'], kind: 'chat' })
  })

  it.each([
    [{ helix: { provider: 'a' }, force_provider: 'b', provider: 'c' }, 'a'],
    [{ force_provider: 'b', provider: 'c' }, 'b'],
    [{ provider: 'c' }, 'c'],
    [{}, undefined],
  ])('finds the provider in %j', (body, provider) => {
    const asked = askedOf(body)
    expect(asked.wanted.provider).toBe(provider)
    expect(asked.body).not.toHaveProperty('provider')
  })

  it('leaves the routing block of another gateway alone', () => {
    const provider = { order: ['a', 'b'] }
    expect(askedOf({ provider }).body).toMatchObject({ provider })
    expect(askedOf({ provider }).wanted.provider).toBeUndefined()
  })

  it('takes null for absent', () => {
    expect(askedOf({ stream: null, stream_options: null, n: null, tools: null })).toMatchObject({
      stream: false,
      includeUsage: false,
    })
    const asked = askedOf({
      provider: null,
      force_provider: null,
      helix: null,
      stream_options: { include_usage: null },
    })
    expect(asked).toMatchObject({ includeUsage: false, strict: false, onDisconnect: 'cancel' })
    expect(asked.wanted.provider).toBeUndefined()
    expect(asked.body).not.toHaveProperty('provider')
  })

  it('takes sixteen pairs of metadata, and no more', () => {
    const pairs = (total: number) => Object.fromEntries(Array.from({ length: total }, (_, at) => [`k${at}`, 'v']))
    expect(askedOf({ metadata: pairs(16) }).body).toHaveProperty('metadata')
    expect(() => askedOf({ metadata: pairs(17) })).toThrow('16 pairs')
  })
})

describe('the bound of an input', () => {
  it('covers every byte of every field, for a vendor may read any of them', () => {
    const words = fc.string({ unit: 'grapheme', maxLength: 200 })
    const message = fc.record({ content: words, name: words, reasoning_content: words, tool_call_id: words })
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 5 }), words, words, (messages, prefix, document) => {
        const body = {
          messages: messages.map((one) => ({ role: 'assistant', ...one })),
          prediction: { type: 'content', content: prefix },
          documents: [document],
        }
        const written = messages.flatMap((one) => Object.values(one)).join('') + prefix + document
        expect(inputBound(askedOf(body), target)).toBeGreaterThanOrEqual(Buffer.byteLength(written))
      }),
    )
  })

  it('counts declared tools and schemas', () => {
    const big = { type: 'object', description: 'x'.repeat(5000) }
    const tools = [{ type: 'function', function: { name: 'f', parameters: big } }]
    const format = { type: 'json_schema', json_schema: { name: 's', schema: big } }
    expect(inputBound(askedOf({ tools }), target)).toBeGreaterThan(5000)
    expect(inputBound(askedOf({ response_format: format }), target)).toBeGreaterThan(5000)
  })

  it('counts pictures by the piece, not by their bytes', () => {
    const small = inputBound(askedOf(userSays(picture(10))), target)
    expect(inputBound(askedOf(userSays(picture(1_000_000))), target)).toBe(small)
    const two = inputBound(askedOf(userSays(picture(10), picture(10))), target)
    expect((two ?? 0) - (small ?? 0)).toBeGreaterThanOrEqual(target.entry?.imageTokenBound ?? 0)
  })

  const wide = target.entry?.contextWindow ?? 0
  it.each([
    ['a file by its id', { type: 'file', file: { file_id: 'file-1' } }],
    ['a packed document', { type: 'file', file: { file_data: 'data:application/pdf;base64,AAAA' } }],
    ['a film', { type: 'video_url', video_url: { url: 'https://a.test/film.mp4' } }],
    ['a recording by its address', { type: 'input_audio', input_audio: { url: 'https://a.test/a.mp3' } }],
    ['a part of an unknown type', { type: 'hologram' }],
    [
      'a document in the place of a picture',
      { type: 'image_url', image_url: { url: 'data:application/pdf;base64,AA' } },
    ],
    ['a film in the place of a picture', { type: 'image_url', image_url: { url: ' DATA:video/mp4;base64,AA' } }],
    ['a picture as a bare text that is none', { type: 'image_url', image_url: 'data:text/plain;base64,AA' }],
  ])('is the whole window for %s, and unknown where the window is', (_name, part) => {
    expect(wide).toBeGreaterThan(0)
    expect(inputBound(askedOf(userSays(part)), target)).toBe(wide)
    const long = { type: 'text', text: 'x'.repeat(wide * 2) }
    expect(inputBound(askedOf(userSays(part, long)), target)).toBeGreaterThan(wide * 2)
    expect(inputBound(askedOf(userSays(part)), unlisted)).toBeUndefined()
  })

  it.each([
    ['a search of the vendor', { tools: [{ type: 'web_search', web_search: { enable: true } }] }],
    ['a tool that runs at OpenRouter', { tools: [{ type: 'openrouter:web_search' }] }],
    ['search options', { web_search_options: {} }],
    ['search parameters', { search_parameters: { mode: 'on' } }],
    ['a search that is switched on', { enable_search: true }],
    ['a plugin', { plugins: [{ id: 'web' }] }],
  ])('is unknown with %s, which has the model read more', (_name, body) => {
    expect(inputBound(askedOf(body), target)).toBeUndefined()
  })

  it('is known with tools of the caller’s own, and with a search that is off', () => {
    const tools = [
      { type: 'function', function: { name: 'f' } },
      { type: 'custom', custom: { name: 'c' } },
    ]
    const off = { web_search_options: null, enable_search: false, plugins: [] }
    expect(inputBound(askedOf({ tools, ...off }), target)).toBeGreaterThan(0)
  })

  it('is the whole window for an answer that was spoken before', () => {
    const messages = [{ role: 'assistant', audio: { id: 'audio_1' } }]
    expect(inputBound(askedOf({ messages }), target)).toBe(wide)
  })

  it('is the bytes of a recording that comes with the request', () => {
    const part = { type: 'input_audio', input_audio: { data: 'A'.repeat(1000), format: 'wav' } }
    expect(inputBound(askedOf(userSays(part, { type: 'refusal', refusal: 'no' })), unlisted)).toBeLessThan(2000)
  })

  it('counts pictures that a model has made like those of a user', () => {
    const made = (url: string) => ({
      messages: [{ role: 'assistant', content: 'Look', images: [{ image_url: { url } }] }],
    })
    const nothing = inputBound(askedOf(made('')), target) ?? 0
    const without = inputBound(askedOf({ messages: [{ role: 'assistant', content: 'Look' }] }), target) ?? 0
    expect(nothing - without).toBeGreaterThanOrEqual(target.entry?.imageTokenBound ?? Number.POSITIVE_INFINITY)
    expect(inputBound(askedOf(made('data:application/pdf;base64,AAAA')), target)).toBe(wide)
  })

  it('does not let text hide beside a picture', () => {
    const hidden = { ...picture(10), text: 'y'.repeat(9000) }
    expect(inputBound(askedOf(userSays(hidden)), target)).toBeGreaterThan(9000)
  })

  it('is above the estimate of the same input', () => {
    const asked = askedOf(userSays({ type: 'text', text: 'Some words, 世界, und Wörter.' }, picture(100)))
    expect(inputBound(asked, target)).toBeGreaterThan(estimatedPrompt(asked, estimateTokens))
  })
})

describe('what a call is expected to need', () => {
  it('is its text, its tools and a thousand tokens, or fewer where it asks for fewer', () => {
    const text = 'a'.repeat(400)
    expect(expectedTokens(askedOf({ messages: [{ role: 'user', content: text }] }))).toBe(1100)
    expect(expectedTokens(askedOf({ messages: [{ role: 'user', content: text }], max_tokens: 50, n: 2 }))).toBe(200)
    expect(expectedTokens(askedOf({ messages: [{ role: 'user', content: text }], max_tokens: 99_999 }))).toBe(1100)
  })

  it.each([
    ['a picture', picture(4_000_000)],
    ['a recording', { type: 'input_audio', input_audio: { data: 'A'.repeat(4_000_000), format: 'mp3' } }],
    ['a document', { type: 'file', file: { file_data: 'A'.repeat(4_000_000) } }],
  ])('does not take the bytes of %s for text', (_name, part) => {
    const asked = askedOf(userSays(part))
    expect(expectedTokens(asked)).toBeLessThan(2500)
    const startMs = performance.now()
    expect(estimatedPrompt(asked, estimateTokens)).toBeLessThan(2500)
    expect(performance.now() - startMs).toBeLessThan(100)
  })
})

const unlimited = { budgets: [] }

describe('the slice of a stream', () => {
  it.each([
    [100_000_000_000, 1000],
    // A hundredth of it is a cent, which buys a thousand tokens at 10 USD a million.
    [1_000_000_000, 1000],
    [200_000_000, 200],
    [10_000, 50],
    [0, 50],
  ])('of a caller with %i nano-USD is %i tokens: a hundredth of the smallest budget', (limitNanoUsd, tokens) => {
    const budgets = [limitNanoUsd, 10 ** 12].map((limit) => ({
      id: 'b',
      window: 'total' as const,
      limitNanoUsd: limit,
    }))
    expect(sliceOf(target, { budgets })).toBe(tokens)
    expect(heldOutput(askedOf({ stream: true, n: 2 }), target, { budgets })).toBe(2 * tokens)
    expect(sliceOf(unlisted, { budgets })).toBe(1000)
  })
})

describe('the bound of an output', () => {
  it('is the caller’s limit, but not above the model’s, for each choice', () => {
    expect(limit).toBeGreaterThan(1000)
    expect(outputPerChoice(askedOf({ max_tokens: 10 }).body, target)).toBe(10)
    expect(outputPerChoice(askedOf({ max_tokens: 10, max_completion_tokens: 20 }).body, target)).toBe(20)
    expect(outputPerChoice(askedOf({ max_tokens: 10_000_000 }).body, target)).toBe(limit)
    expect(outputPerChoice(askedOf({}).body, target)).toBe(limit)
    expect(outputBound(askedOf({ max_tokens: 10, n: 3 }), target)).toBe(30)
    expect(outputPerChoice(askedOf({}).body, unlisted)).toBe(8192)
  })

  it('is held whole for whole answers, and by slices for streams', () => {
    expect(heldOutput(askedOf({}), target, unlimited)).toBe(limit)
    expect(heldOutput(askedOf({ stream: true }), target, unlimited)).toBe(1000)
    expect(heldOutput(askedOf({ stream: true, n: 2 }), target, unlimited)).toBe(2000)
    expect(heldOutput(askedOf({ stream: true, max_tokens: 7 }), target, unlimited)).toBe(7)
  })

  it('is held whole for a model that thinks unseen', () => {
    const thinker = targetOf('openai', 'o3')
    expect(thinker.entry?.capabilities).toContain('reasoning')
    expect(heldOutput(askedOf({ stream: true, max_tokens: 30_000 }), thinker, unlimited)).toBe(30_000)
  })

  it('costs at least what any usage within it costs', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.nat(100_000), (prompt, completion) => {
        const most = costBound(target, prompt, completion)
        expect(Number.isSafeInteger(most)).toBe(true)
        expect(most).toBeGreaterThanOrEqual(costBound(target, Math.floor(prompt / 2), completion))
        expect(most).toBeGreaterThanOrEqual(costBound(target, prompt, Math.floor(completion / 2)))
      }),
    )
    expect(costBound(unlisted, 1000, 1000)).toBe(0)
  })
})

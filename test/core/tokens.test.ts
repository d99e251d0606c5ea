import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { byteBound, estimateTokens, roughTokens } from '../../src/core/tokens.ts'
import { anyCharacter } from '../support/any-character.ts'
import { recordedStreams } from '../support/streams.ts'

const samples = {
  english: {
    text: 'The quick brown fox jumps over the lazy dog while the committee considers an unprecedented reorganisation of municipal infrastructure.',
    charsPerToken: [3.5, 6],
  },
  german: {
    text: 'Die Donaudampfschifffahrtsgesellschaft veröffentlichte gestern überraschend ihre Geschäftszahlen für das vergangene Wirtschaftsjahr.',
    charsPerToken: [3, 6.5],
  },
  chinese: {
    text: '人工智能正在改变我们的生活方式，越来越多的企业开始使用大型语言模型来提高工作效率。',
    charsPerToken: [0.8, 2],
  },
  code: {
    text: 'export async function fetchJson<T>(url: string): Promise<T> {\n  const response = await fetch(url)\n  if (!response.ok) throw new Error(response.statusText)\n  return (await response.json()) as T\n}\n',
    charsPerToken: [2.5, 4.5],
  },
} as const

/** What its vendor counted beside the text is not in it: calls of tools, the caller's own or those that the vendor ran. */
const isTextAlone = ({ toolCalls, name }: { toolCalls: unknown[]; name: string }) =>
  toolCalls.length === 0 && name !== '52-anthropic-search.sse'

describe('an estimate', () => {
  it.each(Object.entries(samples))('of %s lies where tokenizers lie', (_language, { text, charsPerToken }) => {
    const perToken = text.length / estimateTokens(text)
    expect(perToken).toBeGreaterThanOrEqual(charsPerToken[0])
    expect(perToken).toBeLessThanOrEqual(charsPerToken[1])
  })

  // Measured over the recorded streams that say what their text cost: 169 tokens known, 145 estimated, 14 % below.
  it('of recorded answers is near what their vendors counted', () => {
    let known = 0
    let estimated = 0
    for (const { usage, text, reasoning } of recordedStreams().filter(isTextAlone)) {
      if (usage === null) continue
      const [, , completion, thought] = usage
      known += completion - thought
      estimated += estimateTokens(thought > 0 ? text : text + reasoning)
    }
    expect(known).toBeGreaterThan(80)
    expect(Math.abs(estimated / known - 1)).toBeLessThan(0.2)
  })

  it('is never more than the bytes of the text, and nothing for nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
        const estimate = estimateTokens(text)
        expect(Number.isInteger(estimate)).toBe(true)
        expect(estimate).toBeGreaterThanOrEqual(0)
        expect(estimate).toBeLessThanOrEqual(byteBound(text))
      }),
    )
    expect(estimateTokens('')).toBe(0)
  })

  it('grows with the text in time that grows with it too', () => {
    const long = 'word '.repeat(200_000)
    const startMs = performance.now()
    expect(estimateTokens(long)).toBeGreaterThanOrEqual(200_000)
    expect(performance.now() - startMs).toBeLessThan(2000)
  })
})

describe('a bound by bytes', () => {
  it('is the length in UTF-8, what a tokenizer of bytes makes at the most', () => {
    expect(byteBound('a')).toBe(1)
    expect(byteBound('ß')).toBe(2)
    expect(byteBound('世')).toBe(3)
    expect(byteBound('🦙')).toBe(4)
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter }), (text) => {
        expect(byteBound(text)).toBe(new TextEncoder().encode(text).length)
      }),
    )
  })

  it('is never below what a recorded answer cost in text', () => {
    for (const { usage, text, reasoning, kind } of recordedStreams().filter(isTextAlone)) {
      if (usage === null || usage[3] > 0 || kind === 'ollama') continue
      expect(byteBound(text + reasoning)).toBeGreaterThanOrEqual(usage[2])
    }
  })
})

it('a rough count is a quarter of the characters, rounded up', () => {
  expect([0, 1, 4, 5].map(roughTokens)).toEqual([0, 1, 1, 2])
})

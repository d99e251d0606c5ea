import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { estimateTokens } from '../../../src/core/tokens.ts'
import { type ChunkOptions, chunkText } from '../../../src/features/semantic/chunker.ts'
import { isBoundaryBehindSpace, signAround } from '../../../src/features/semantic/graphemes.ts'
import { count, full } from '../../support/lane.ts'

const usual: ChunkOptions = { size: 1000, overlap: 200, unit: 'char' }
const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' })

const signs = [
  ...['a', 'word ', 'Sentence. ', 'What? ', 'No! ', '\n\n', '\r\n', '\t', ' ', '.', '# Title\n', '```\n'],
  ...['é', 'x\u0301\u0302\u0303', 'ñ', 'å', '漢', '字。', 'か', 'が', '한글', '각', 'ไทย', 'कि', 'عربي ', '\u06001'],
  ...['👨‍👩‍👧‍👦', '🇩🇪', '🇫🇷', '👍🏽', '❤️', '\u200d', '\u0301', '\ud83d', '\ude00', '\u3000', '1️⃣'],
]

/** Texts of a few kinds of signs each, so that some have no spaces, or nothing but combining marks. */
const texts = fc
  .tuple(
    fc.uniqueArray(fc.constantFrom(...signs), { minLength: 1, maxLength: 8 }),
    fc.array(fc.nat(), { maxLength: 300 }),
  )
  .map(([kinds, picks]) => picks.map((pick) => kinds[pick % kinds.length]).join(''))

const options = fc
  .record({
    size: fc.integer({ min: 8, max: 120 }),
    share: fc.double({ min: 0, max: 0.49, noNaN: true }),
    ofTokens: fc.boolean(),
  })
  .map(({ size, share, ofTokens }): ChunkOptions => {
    const unit = ofTokens ? 'token' : 'char'
    return { size, overlap: Math.min(Math.floor(size * share), Math.ceil(size / 2) - 1), unit }
  })

/** What is wrong with the pieces of a text. */
function faultsOf(text: string, wanted: ChunkOptions): string[] {
  const pieces = chunkText(text, wanted)
  const boundaries = new Set([text.length])
  for (const { index } of segmenter.segment(text)) boundaries.add(index)
  const faults: string[] = []
  let [joined, start, end] = ['', -1, 0]
  for (const piece of pieces) {
    if (piece.start > end) faults.push(`nothing has ${end} to ${piece.start}`)
    if (piece.start <= start || piece.end <= end) faults.push(`no progress at ${piece.start}`)
    if (!boundaries.has(piece.start) || !boundaries.has(piece.end)) faults.push(`splits a sign at ${piece.start}`)
    joined += text.slice(Math.max(piece.start, end), piece.end)
    start = piece.start
    end = piece.end
  }
  if (joined !== text) faults.push('together they are not the text')
  return faults
}

describe('the chunks of a text', () => {
  it(
    'are the text without their overlaps, get on, and split no sign',
    () => {
      // Every run of the whole count takes other texts.
      const seed = full() ? {} : { seed: 7 }
      fc.assert(
        fc.property(texts, options, (text, wanted) => {
          expect(faultsOf(text, wanted)).toEqual([])
        }),
        { numRuns: count(2000, 100_000), ...seed },
      )
    },
    count(60_000, 900_000),
  )

  it.each([
    ['sentences', 'The quick brown fox jumps over the lazy dog, and then it sleeps. '],
    ['words', 'word another '],
    ['no spaces', 'abcdefghij'],
    ['Chinese', '漢字仮名交じり文、とても長い文章です。'],
    ['Thai', 'ภาษาไทยไม่มีช่องว่างระหว่างคำ'],
    ['families', '👨‍👩‍👧‍👦'],
    ['flags', '🇩🇪'],
    ['lines', 'a line\n'],
    ['spaces', ' '],
    ['sentences of half a window', `${'x'.repeat(500)}. `],
  ])('are few of 100,000 characters of %s', (_what, unit) => {
    const text = unit.repeat(Math.ceil(100_000 / unit.length)).slice(0, 100_000)
    const { length } = chunkText(text, usual)
    expect(length).toBeGreaterThanOrEqual(100)
    expect(length).toBeLessThanOrEqual(250)
  })

  it('end with a sentence where one ends in the second half, else with a word', () => {
    const [first] = chunkText(`${'word '.repeat(140)}end. ${'more '.repeat(200)}`, usual)
    expect(first?.end).toBe(705)
    const [second] = chunkText(`${'word '.repeat(80)}end. ${'x'.repeat(300)} ${'y'.repeat(900)}`, usual)
    expect(second?.end).toBe(706)
    const [third] = chunkText('z'.repeat(3000), usual)
    expect(third?.end).toBe(1000)
  })

  it('begin with a word within the overlap', () => {
    const text = 'several words '.repeat(300)
    const [, second] = chunkText(text, usual)
    const start = second?.start ?? 0
    expect(text[start - 1]).toBe(' ')
    expect(text[start]).not.toBe(' ')
    expect(start).toBeGreaterThanOrEqual(700)
  })

  it('hold no more tokens than they may', () => {
    const text = 'Incomprehensibilities are words of many tokens; these are not. 漢字。 '.repeat(300)
    for (const { start, end } of chunkText(text, { size: 512, overlap: 50, unit: 'token' })) {
      expect(estimateTokens(text.slice(start, end))).toBeLessThanOrEqual(512)
    }
  })

  it('know the headings of Markdown above them, but not what stands in code', () => {
    const text = `# A #\n${'a '.repeat(600)}\n## B\n\`\`\`\n# no heading\n\`\`\`\n${'b '.repeat(600)}\n# C\n${'c '.repeat(600)}`
    const paths = chunkText(text, usual).map(({ headings }) => headings.join(' > '))
    expect([...new Set(paths)]).toEqual(['A', 'A > B', 'C'])
  })

  it('are cut where the segmenter of the platform has a boundary, wherever they are asked', () => {
    const some = [
      ...['👨‍👩‍👧‍👦', '🇩🇪', '👍🏽', '❤️', '😀', '🏽', 'a', ' ', '漢', 'क', '्', 'ष', '각', 'ᄀ', '\r', '\n', '\u200d'],
      ...[
        '\u0301',
        '\ufe0f',
        '\u0600',
        '\u{1f700}',
        '\u{1faff}',
        '\u{1f1e6}',
        '\u{1f1e7}',
        '\ud83d',
        '\ude00',
        '\u{110bd}',
      ],
    ]
    const pieces = fc.array(fc.constantFrom(...some), { minLength: 1, maxLength: 14 })
    fc.assert(
      fc.property(pieces, fc.nat(), (parts, place) => {
        const text = parts.join('')
        const at = place % (text.length + 1)
        const boundaries = [...segmenter.segment(text)].map(({ index }) => index)
        const start = Math.max(...boundaries.filter((one) => one <= at))
        const end = Math.min(text.length, ...boundaries.filter((one) => one > start))
        const isBoundary = at === text.length || boundaries.includes(at)
        expect(signAround(text, at, 0)).toEqual(isBoundary ? { start: at, end: at } : { start, end })
      }),
      { numRuns: count(2000, 100_000), ...(full() ? {} : { seed: 7 }) },
    )
  })

  it('are cut behind a space only where the next sign does not join it', () => {
    let text = ''
    const places: number[] = []
    for (let code = 0; code < 0x20000; code += 1) {
      if (code >= 0xd800 && code <= 0xdfff) continue
      text += code % 2 === 0 ? 'x ' : 'x。'
      places.push(text.length)
      text += String.fromCodePoint(code)
    }
    const boundaries = new Set<number>()
    for (const { index } of segmenter.segment(text)) boundaries.add(index)
    expect(places.filter((at) => isBoundaryBehindSpace(text, at) && !boundaries.has(at))).toEqual([])
    expect(isBoundaryBehindSpace('\r\n', 1)).toBe(false)
  })

  it.each([
    ['marks that stand upon spaces', ' \u0301'],
    ['marks that stand upon stops', '。\u0301'],
    ['signs that join what is behind them', '\u0600 \u0301'],
    ['a heading of spaces', `# a${' '.repeat(499_000)}x`],
    ['closing signs', `# a${' #'.repeat(249_000)} x`],
  ])('are as quickly made of %s as of words', (_what, part) => {
    const text = part.repeat(Math.ceil(500_000 / part.length))
    expect(chunkText(text, { ...usual, size: 4000, overlap: 1999 }).at(-1)?.end).toBe(text.length)
  })

  it('are none of an empty text, and one of a short one', () => {
    expect(chunkText('', usual)).toEqual([])
    expect(chunkText('short', usual)).toEqual([{ start: 0, end: 5, headings: [] }])
  })

  it('keep a sign whole that is longer than they may be', () => {
    const sign = `a${'\u0301'.repeat(2500)}`
    expect(chunkText(sign + sign, usual).map(({ start, end }) => [start, end])).toEqual([
      [0, 2501],
      [2501, 5002],
    ])
  })
})

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { confidenceOfVoices, speakersOf, turnAt, wordsByTurn } from '../../../src/features/audio/diarization.ts'
import { createEventReader } from '../../../src/features/audio/events.ts'
import { hasNoOtherNumbers } from '../../../src/features/audio/facts.ts'
import { createJoiner } from '../../../src/features/audio/joining.ts'
import { categories, emotions, genres, probabilities } from '../../../src/features/audio/labels.ts'
import { clock } from '../../../src/features/audio/render.ts'
import { MOST_CHARS, normalised, spokenPieces } from '../../../src/features/audio/sentences.ts'
import {
  confidenceOf,
  hasLoop,
  joined,
  NodeTranscript,
  spokenShare,
  transcriptOf,
} from '../../../src/features/audio/transcript.ts'
import { count } from '../../support/lane.ts'
import * as sounds from '../../support/sounds.ts'

const runs = { numRuns: count(150, 3000), seed: 7 }

describe('pieces of a text that is spoken', () => {
  it('are the text again, none of them too long, none of them half a character', () => {
    const text = fc.oneof(
      fc.string({ maxLength: 3000, unit: 'grapheme' }),
      fc
        .array(fc.constantFrom('Hi.', 'So, it is', ' ', 'a'.repeat(500), '\n', '“Yes!” ', '3.14', '日本。', '🎧'), {
          maxLength: 300,
        })
        .map((some) => some.join('')),
    )
    fc.assert(
      fc.property(text, (input) => {
        const pieces = spokenPieces(input)
        expect(pieces.join('')).toBe(input)
        expect(pieces.every((piece) => piece.length > 0 && piece.length <= MOST_CHARS)).toBe(true)
        if (input.isWellFormed()) expect(pieces.every((piece) => piece.isWellFormed())).toBe(true)
      }),
      runs,
    )
  })

  it('end behind sentences, and the first comes soon', () => {
    const text = Array.from(
      { length: 12 },
      (_, at) => `Sentence ${at} costs 3.50 euros, as Dr. Who says, and has an end.`,
    ).join(' ')
    const pieces = spokenPieces(text)
    expect(pieces.length).toBeGreaterThan(2)
    expect(pieces[0]?.length).toBeLessThanOrEqual(160)
    expect(pieces.every((piece) => /end\. ?$/.test(piece))).toBe(true)
  })

  it('have no characters that nobody can say', () => {
    expect(normalised(' a \u0000b\u200bc\r\n\n  d ')).toBe('a bc\nd')
    expect(normalised('\ud800x').isWellFormed()).toBe(true)
  })
})

describe('a transcript', () => {
  const segment = (start: number, end: number, text: string, more: object = {}) => ({
    start,
    end,
    text,
    avg_logprob: -0.1,
    no_speech_prob: 0.01,
    compression_ratio: 1.2,
    ...more,
  })
  const read = (segments: object[], more: object = {}) =>
    NodeTranscript.parse({
      text: segments.map((one) => ('text' in one ? one.text : '')).join(''),
      duration: 10,
      segments,
      ...more,
    })

  it('is without what was made up over silence', () => {
    const invented = segment(4, 9, ' Thank you for watching.', { no_speech_prob: 0.61, avg_logprob: -1.01 })
    const words = [
      { word: 'Hello', start: 0, end: 1 },
      { word: 'watching', start: 5, end: 6 },
    ]
    const transcript = transcriptOf(read([segment(0, 2, ' Hello.'), invented], { words }), undefined)
    expect(transcript).toMatchObject({ text: 'Hello.', durationMs: 10_000, words: [{ word: 'Hello' }] })
    for (const kept of [{ no_speech_prob: 0.6 }, { avg_logprob: -1 }]) {
      expect(transcriptOf(read([{ ...invented, ...kept }]), undefined).text).toBe('Thank you for watching.')
    }
    expect(transcriptOf(read([invented]), undefined)).toMatchObject({ text: '', segments: [] })
  })

  it('is as sure as its segments, by their lengths', () => {
    const two = [
      segment(0, 3, 'a', { avg_logprob: 0, no_speech_prob: 0 }),
      segment(3, 4, 'b', { avg_logprob: Math.log(0.5), no_speech_prob: 0.5 }),
    ]
    expect(confidenceOf(read(two) as { segments: typeof two })).toBeCloseTo((3 * 1 + 1 * 0.25) / 4)
    expect(confidenceOf({ segments: undefined })).toBeNull()
    expect(confidenceOf({ segments: [{ start: 0, end: 1, text: 'a' }] })).toBeNull()
  })

  it('shows a loop, and how much of the time somebody speaks', () => {
    expect(hasLoop(read([segment(0, 1, 'na na', { compression_ratio: 2.41 })]))).toBe(true)
    expect(hasLoop(read([segment(0, 1, 'na na', { compression_ratio: 2.4 })]))).toBe(false)
    expect(spokenShare({ segments: [segment(0, 1, 'a')], durationMs: 100_000 })).toBe(0.01)
    expect(spokenShare({ segments: undefined, durationMs: 100_000 })).toBeUndefined()
  })

  it('of a server that lies has nothing that cannot be kept, shown or sorted', () => {
    const segments = [
      segment(5, 4, ' there\ud800'),
      segment(-3, 2, ' Hi\0'),
      { ...segment(2, 3, ' you'), words: [{ word: 'you', start: -1, end: -2 }] },
    ]
    const answer = { text: 'Hi\0 you there\ud800', language: 'en\0; drop', duration: '-4', segments }
    expect(transcriptOf(NodeTranscript.parse(answer), 6000)).toEqual({
      text: 'Hi you there\ufffd',
      language: undefined,
      durationMs: 6000,
      segments: [
        { ...segment(0, 2, ' Hi') },
        { ...segment(2, 3, ' you'), words: [{ word: 'you', start: 0, end: 0 }] },
        { ...segment(5, 5, ' there\ufffd') },
      ],
      words: [{ word: 'you', start: 0, end: 0 }],
    })
    for (const lie of [{ duration: '1e999' }, { segments: [segment(0, 1e20, 'x')] }, { text: 7 }, { words: 'none' }]) {
      expect(NodeTranscript.safeParse({ text: 'x', ...lie }).success, JSON.stringify(lie)).toBe(false)
    }
  })

  it('has the words of what is left of it, whatever shares time with what', () => {
    const time = fc.tuple(fc.nat(60), fc.nat(20)).map(([start, length]) => ({ start, end: start + length }))
    fc.assert(
      fc.property(fc.array(time, { maxLength: 12 }), fc.array(time, { maxLength: 12 }), (kept, times) => {
        const invented = segment(0, 100, 'x', { no_speech_prob: 0.9, avg_logprob: -2 })
        const words = times.map((one, at) => ({ word: String(at), ...one }))
        const segments = [invented, ...kept.map(({ start, end }) => segment(start, end, 'said'))]
        const left = transcriptOf(read(segments, { words }), undefined).words?.map(({ word }) => word)
        const meant = words.filter(({ start, end }) => kept.some((one) => one.start < end && one.end > start))
        expect(new Set(left)).toEqual(new Set(meant.map(({ word }) => word)))
      }),
      runs,
    )
  })

  it('in scripts without spaces gets none, and in others one', () => {
    expect(joined(['港は静かです。', '船が', '二隻'])).toBe('港は静かです。船が二隻')
    expect(joined(['Guten', 'Tag.', ' Wie', 'geht es?'])).toBe('Guten Tag. Wie geht es?')
    expect(joined(['안녕', '세계', 'ภาษา', 'ไทย'])).toBe('안녕 세계ภาษาไทย')
  })

  it('has times as subtitles write them', () => {
    expect([clock(3661.0075, ','), clock(59.9996, '.'), clock(-1, '.')]).toEqual([
      '01:01:01,008',
      '00:01:00.000',
      '00:00:00.000',
    ])
  })
})

describe('speakers', () => {
  const turns = [
    { start_ms: 0, end_ms: 1000, speaker: 'A' },
    { start_ms: 1000, end_ms: 3000, speaker: 'B' },
    { start_ms: 5000, end_ms: 6000, speaker: 'A' },
  ]

  it('have the words that they share most time with, else the nearest', () => {
    expect(turnAt(turns, { startMs: 800, endMs: 1500 })).toBe(1)
    expect(turnAt(turns, { startMs: 4700, endMs: 4800 })).toBe(2)
    expect(turnAt([], { startMs: 0, endMs: 1 })).toBeUndefined()
    const words = [
      { word: ' Hello', start: 0.1, end: 0.5 },
      { word: ' you', start: 0.9, end: 1.9 },
      { word: ' there', start: 2, end: 2.5 },
    ]
    expect(wordsByTurn(turns, words)).toEqual(['Hello', 'you there', ''])
  })

  it('are counted by how much they say, and told apart as well as their voices are', () => {
    const speakers = [
      { id: 'A', talk_ms: 1000 },
      { id: 'B', talk_ms: 3000 },
    ]
    expect(speakersOf({ duration_ms: 5000, speakers, segments: [] })).toEqual([
      { id: 'B', label: 'Speaker 1', talk_seconds: 3, share: 0.75 },
      { id: 'A', label: 'Speaker 2', talk_seconds: 1, share: 0.25 },
    ])
    expect([1, 0, -1].map((silhouette) => confidenceOfVoices({ silhouette }))).toEqual([1, 0.5, 0])
    expect(confidenceOfVoices({ silhouette: null })).toBeNull()
  })
})

describe('labels', () => {
  it('are the closed lists of twelve, ten and twenty-one', () => {
    expect([emotions, categories, genres].map((list) => new Set(list).size)).toEqual([12, 10, 21])
  })

  it('have probabilities that add up to one, over those that were asked for alone', () => {
    const label = fc.constantFrom(...genres, 'Hip-Hop', 'nothing of the kind')
    const score = fc.record({ label, score: fc.double({ min: 0, max: 1e6, noNaN: true }) })
    fc.assert(
      fc.property(fc.array(score, { maxLength: 60 }), (scores) => {
        const found = probabilities(scores, genres)
        if (found.length === 0) return
        expect(found).toHaveLength(genres.length)
        expect(found.reduce((sum, { confidence }) => sum + confidence, 0)).toBeCloseTo(1)
        expect(found.every(({ label }) => (genres as readonly string[]).includes(label))).toBe(true)
      }),
      runs,
    )
    expect(probabilities([{ label: 'HIP_HOP', score: 3 }], genres)[0]).toEqual({ label: 'hip hop', confidence: 1 })
    expect(probabilities([{ label: 'other', score: 3 }], genres)).toEqual([])
  })
})

it('a summary has no number that is not in the facts', () => {
  const facts = ['The recording is 12.5 seconds long.', 'There are 2 speakers.', 'Speaker 1 talks for 9 seconds, 72 %.']
  expect(hasNoOtherNumbers('Two speakers share 12.5 seconds; one of them has 72% of it.', facts)).toBe(true)
  for (const text of ['It lasts 13 seconds.', 'Three people speak.', 'It is 12.55 seconds long.']) {
    expect(hasNoOtherNumbers(text, facts), text).toBe(false)
  }
})

describe('events of a server', () => {
  it('without an end are given up, however small the pieces are that they come in', () => {
    const reader = createEventReader()
    reader.push(new TextEncoder().encode('data: '))
    const piece = new Uint8Array(1024).fill(97)
    const endless = () => {
      for (let pieces = 0; pieces < 5000; pieces++) reader.push(piece)
    }
    expect(endless).toThrow(RangeError)
  })

  it('are read from bytes in any split', () => {
    const data = fc.array(
      fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !/[\r\n]/.test(text) && text === text.trimStart()),
      { minLength: 1, maxLength: 8 },
    )
    fc.assert(
      fc.property(data, fc.constantFrom('\n', '\r\n', '\r'), fc.integer({ min: 1, max: 7 }), (all, end, size) => {
        const bytes = new TextEncoder().encode(all.map((text) => `event: x${end}data: ${text}${end}${end}`).join(''))
        const reader = createEventReader()
        const read: string[] = []
        for (let at = 0; at < bytes.length; at += size) read.push(...reader.push(bytes.slice(at, at + size)))
        expect([...read, ...reader.end()]).toEqual(all)
      }),
      runs,
    )
  })
})

describe('files in a row', () => {
  const join = (format: 'wav' | 'mp3', files: readonly Uint8Array[], size: number): Buffer => {
    const joiner = createJoiner(format)
    const parts = files.flatMap((file) => {
      const taken: Uint8Array[] = []
      for (let at = 0; at < file.length; at += size) taken.push(...joiner.take(file.slice(at, at + size)))
      return [...taken, ...joiner.next()]
    })
    return Buffer.concat(parts)
  }

  it.each([1, 7, 1000, 100_000])('are one WAV under one header, in bites of %d', (size) => {
    const wav = join('wav', [sounds.wav(100), sounds.wav(50)], size)
    expect(wav.length).toBe(44 + 200 + 100)
    expect([wav.readUInt32LE(4), wav.readUInt32LE(40)]).toEqual([0xffffffff, 0xffffffff])
  })

  it.each([3, 500, 100_000])('are one MP3 with one tag and no frame that counts, in bites of %d', (size) => {
    const joined = join('mp3', [sounds.mp3(4, sounds.id3), sounds.mp3(3, sounds.id3), sounds.mp3WithCount(3)], size)
    expect(joined.length).toBe(sounds.id3.length + 4 * 417 + 3 * 417 + 3 * 417)
    expect(joined.toString('latin1')).not.toContain('Xing')
    expect(joined.toString('latin1').match(/ID3/g)).toHaveLength(1)
  })
})

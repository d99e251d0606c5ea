import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { confidenceOfVoices, speakersOf, turnAt, wordsByTurn } from '../../../src/features/audio/diarization.ts'
import { createEventReader } from '../../../src/features/audio/events.ts'
import { hasNoOtherNumbers } from '../../../src/features/audio/facts.ts'
import { createJoiner } from '../../../src/features/audio/joining.ts'
import { categories, emotions, genres, probabilities } from '../../../src/features/audio/labels.ts'
import { clock } from '../../../src/features/audio/render.ts'
import { MOST_CHARS, normalised, spokenPieces } from '../../../src/features/audio/sentences.ts'
import { soundIn } from '../../../src/features/audio/sound-input.ts'
import {
  confidenceOf,
  hasLoop,
  NodeTranscript,
  spokenShare,
  transcriptOf,
} from '../../../src/features/audio/transcript.ts'
import { together, windowsOf } from '../../../src/features/audio/windows.ts'
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

describe('a long recording', () => {
  /** 8,000 samples a second, loud but for a tenth of a second every so often. */
  const long = (seconds: number, quietAt: readonly number[]): Uint8Array => {
    const wav = Buffer.from(sounds.wav(seconds * 8000))
    wav.fill(0x11, 44)
    for (const second of quietAt) wav.fill(0, 44 + second * 16_000, 44 + second * 16_000 + 3200)
    return new Uint8Array(wav)
  }

  it('is cut where it is quiet, and nothing of it is lost', () => {
    const wav = long(610, [590])
    const windows = [...windowsOf(soundIn({ bytes: wav }))]
    const [first, second, ...more] = windows
    expect(more).toEqual([])
    expect(first?.startMs).toBe(0)
    expect(second?.startMs).toBeGreaterThan(590_000)
    expect(second?.startMs).toBeLessThan(590_200)
    expect(windows.reduce((sum, { durationMs = 0 }) => sum + durationMs, 0)).toBe(610_000)
    const samples = Buffer.concat(windows.map(({ file }) => file.bytes.subarray(44)))
    expect(samples.equals(Buffer.from(wav.subarray(44)))).toBe(true)
    for (const { file, durationMs } of windows) expect(soundIn(file).sound).toMatchObject({ format: 'wav', durationMs })
  })

  it('is whole where it is short, or not to be cut', () => {
    for (const bytes of [sounds.wav(8000), sounds.mp3(3000)]) {
      const [whole, ...more] = windowsOf(soundIn({ bytes }))
      expect(whole?.file.bytes).toBe(bytes)
      expect(more).toEqual([])
    }
  })

  it('is one transcript, with the times of the whole', () => {
    const part = (text: string) => ({
      text,
      language: 'en',
      durationMs: 5000,
      segments: [{ start: 1, end: 2, text }],
      words: [{ word: text, start: 1, end: 2 }],
    })
    const whole = together([
      { startMs: 0, transcript: part('One.') },
      { startMs: 600_000, transcript: part('Two.') },
    ])
    expect(whole).toMatchObject({ text: 'One. Two.', durationMs: 605_000, words: [{}, { start: 601, end: 602 }] })
    expect(whole.segments).toMatchObject([{ start: 1 }, { start: 601, end: 602 }])
  })
})

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formBody } from '../../../src/features/audio/form.ts'
import { together, withoutRepeat } from '../../../src/features/audio/seams.ts'
import { type GivenSound, soundIn } from '../../../src/features/audio/sound-input.ts'
import { windowsOf } from '../../../src/features/audio/windows.ts'
import { longSoundOf, type RangedFile, soundOf } from '../../../src/features/media/service.ts'
import { count } from '../../support/lane.ts'
import * as sounds from '../../support/sounds.ts'

const MOST_HELD = 16 * 1024 * 1024

/** A file of which only parts are handed out, and how large the largest of them was. */
function ranged(bytes: Uint8Array): RangedFile & { largest: () => number } {
  let largest = 0
  return {
    sizeBytes: bytes.length,
    part: async (from, to) => {
      expect(from).toBeGreaterThanOrEqual(0)
      expect(to).toBeLessThanOrEqual(bytes.length)
      largest = Math.max(largest, to - from)
      return bytes.slice(from, to)
    },
    largest: () => largest,
  }
}

async function windowed(given: GivenSound) {
  const windows = []
  for await (const { file, ...when } of windowsOf(given)) {
    if (!(file.content instanceof Uint8Array)) throw new Error('a window that is not held')
    windows.push({ ...when, file, bytes: file.content })
  }
  return windows
}

/** 8,000 samples a second, loud but for a tenth of a second every so often. */
const long = (seconds: number, quietAt: readonly number[]): Uint8Array => {
  const wav = Buffer.from(sounds.wav(seconds * 8000))
  wav.fill(0x11, 44)
  for (const second of quietAt) wav.fill(0, 44 + second * 16_000, 44 + second * 16_000 + 3200)
  return new Uint8Array(wav)
}

describe('a long recording', () => {
  it.each(['held', 'read in parts'])(
    'of samples is cut where it is quiet, and nothing of it is lost: %s',
    async (how) => {
      const wav = long(610, [590])
      const given = soundIn({ bytes: wav })
      const source = ranged(wav)
      const content = how === 'held' ? wav : source
      const windows = await windowed({ ...given, file: { ...given.file, content } })
      expect(windows.map(({ startMs }) => Math.floor(startMs / 200))).toEqual([0, 2950])
      expect(windows.reduce((sum, { durationMs = 0 }) => sum + durationMs, 0)).toBe(610_000)
      const samples = Buffer.concat(windows.map(({ bytes }) => bytes.subarray(44)))
      expect(samples.equals(Buffer.from(wav.subarray(44)))).toBe(true)
      for (const { bytes, durationMs } of windows) expect(soundOf(bytes)).toMatchObject({ format: 'wav', durationMs })
      expect(source.largest()).toBeLessThanOrEqual(MOST_HELD)
    },
  )

  it.each<['mp3' | 'aac', (frames: number) => Uint8Array, number]>([
    ['mp3', (frames) => sounds.mp3(frames, sounds.id3), 1152 / 44.1],
    ['aac', sounds.aac, 1024 / 44.1],
  ])('of frames is cut between them, and heard twice around the cut: %s', async (format, make, frameMs) => {
    const frames = Math.ceil(1_500_000 / frameMs)
    const bytes = make(frames)
    const source = ranged(bytes)
    const sound = await longSoundOf(source)
    expect(sound).toMatchObject({ format, durationMs: expect.closeTo(frames * frameMs, -1) })
    if (!sound) throw new Error('no sound')
    const windows = await windowed({ sound, file: { content: source, name: 'a', mime: sound.mime } })
    expect(windows).toHaveLength(3)
    let endMs = 0
    for (const { startMs, overlapMs, durationMs = 0, bytes: window } of windows) {
      expect(startMs).toBeCloseTo(endMs - overlapMs, -1)
      expect(soundOf(window)).toMatchObject({ format })
      expect(durationMs).toBeLessThanOrEqual(600_000)
      endMs = startMs + durationMs
    }
    expect(windows.map(({ overlapMs }) => overlapMs)).toEqual([0, expect.closeTo(2010, -2), expect.closeTo(2010, -2)])
    expect(endMs).toBeCloseTo(frames * frameMs, -1)
    const last = windows.at(-1)?.bytes ?? new Uint8Array()
    expect(Buffer.from(last).equals(Buffer.from(bytes.subarray(bytes.length - last.length)))).toBe(true)
  })

  it('with something else between its frames is sent with all of it', async () => {
    const bytes = sounds.joined(sounds.mp3(15_000), new Uint8Array(5000).fill(7), sounds.mp3(15_000), 'TAG')
    const given = soundIn({ bytes })
    const windows = await windowed({ ...given, sound: { ...given.sound, durationMs: 800_000 } })
    expect(windows).toHaveLength(2)
    const [first, second] = windows.map((one) => Buffer.from(one.bytes))
    const shared = (first?.length ?? 0) + (second?.length ?? 0) - bytes.length
    const joined = Buffer.concat([first ?? Buffer.alloc(0), second?.subarray(shared) ?? Buffer.alloc(0)])
    expect(joined.equals(Buffer.from(bytes))).toBe(true)
  })

  it('with more than a part of something else between its frames is sent without it', async () => {
    const noise = new Uint8Array(34 * 1024 * 1024).fill(7)
    const content = ranged(sounds.joined(sounds.mp3(3000), noise, sounds.mp3(3000)))
    const sound = await longSoundOf(content)
    if (!sound) throw new Error('no sound')
    const windows = await windowed({ sound, file: { content, name: 'a', mime: sound.mime } })
    for (const { bytes } of windows) expect(soundOf(bytes)).toMatchObject({ format: 'mp3' })
    const last = windows.at(-1)
    expect(last?.bytes.length).toBeGreaterThan(417 * 2990)
    expect((last?.startMs ?? 0) + (last?.durationMs ?? 0)).toBeCloseTo(6000 * (1152 / 44.1), -3)
  })

  it('that is longer than its beginning tells is refused in its fifth hour', async () => {
    const small = sounds.repeated(sounds.adts(7, { blocks: 4, rateIndex: 12 }), 30_000)
    const given = soundIn({ bytes: sounds.joined(sounds.aac(12_000), new Uint8Array(1), small) })
    expect(given.sound.durationMs).toBeLessThan(300_000)
    const long = { ...given, sound: { ...given.sound, durationMs: 700_000 } }
    await expect(windowed(long)).rejects.toMatchObject({ code: 'too_long' })
  })

  it('is whole where it is short, or not to be cut', async () => {
    for (const bytes of [sounds.wav(8000), sounds.mp3(3000), sounds.ogg('opus', 48_000 * 3600), sounds.mp4()]) {
      const [whole, ...more] = await windowed(soundIn({ bytes }))
      expect(whole?.bytes).toBe(bytes)
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
      { startMs: 0, overlapMs: 0, transcript: part('One.') },
      { startMs: 600_000, overlapMs: 0, transcript: part('Two.') },
    ])
    expect(whole).toMatchObject({ text: 'One. Two.', durationMs: 605_000, words: [{}, { start: 601, end: 602 }] })
    expect(whole.segments).toMatchObject([{ start: 1 }, { start: 601, end: 602 }])
  })
})

describe('what two parts have heard', () => {
  const words = (text: string, start: number, each = 0.5) =>
    text.split(' ').map((word, at) => ({ word, start: start + at * each, end: start + (at + 1) * each }))
  const heard = (text: string, start: number) => ({
    text,
    language: 'en',
    durationMs: 600_000,
    segments: [{ start, end: start + text.split(' ').length / 2, text }],
    words: words(text, start),
  })

  it('is there once, and what was cut off at the edge of either is not', () => {
    const one = heard('so the harbour is quiet toni', 597)
    const other = heard('our is quiet tonight my friend', 0.5)
    const whole = together([
      { startMs: 0, overlapMs: 0, transcript: one },
      { startMs: 598_000, overlapMs: 2000, transcript: other },
    ])
    expect(whole.text).toBe('so the harbour is quiet tonight my friend')
    expect(whole.segments?.map(({ text }) => text).join('')).toBe(whole.text)
    const starts = whole.words?.map(({ start }) => start) ?? []
    expect(starts).toEqual(starts.toSorted((a, b) => a - b))
    expect(whole.segments?.every(({ start, end }) => start <= end)).toBe(true)
  })

  it('is there once where nobody tells of times', () => {
    const part = (text: string) => ({ text, language: undefined, durationMs: 9, segments: undefined, words: undefined })
    const whole = together([
      { startMs: 0, overlapMs: 0, transcript: part('港は静かです。船が二隻') },
      { startMs: 598_000, overlapMs: 2000, transcript: part('船が二隻入ってきます。') },
    ])
    expect(whole.text).toBe('港は静かです。船が二隻入ってきます。')
  })

  it('is a text again that was cut in two anywhere with words on both sides', () => {
    const text = fc
      .uniqueArray(fc.stringMatching(/^[a-zß😀漢]{3,9}$/u), { minLength: 12, maxLength: 30 })
      .filter((all) => all.length >= 12)
    fc.assert(
      fc.property(text, fc.integer({ min: 2, max: 6 }), fc.nat(), (all, shared, place) => {
        const from = 1 + (place % (all.length - shared - 1))
        const [front, back] = [all.slice(0, from + shared).join(' '), all.slice(from).join(' ')]
        const [one, other] = withoutRepeat(front, back)
        expect(one + other).toBe(all.join(' '))
      }),
      { numRuns: count(150, 3000), seed: 7 },
    )
  })

  it('is nothing where they have nothing in common', () => {
    expect(withoutRepeat('one two', 'three four')).toEqual(['one two', 'three four'])
    expect(withoutRepeat('', 'three')).toEqual(['', 'three'])
    expect(withoutRepeat('İ'.repeat(120), 'three')[1]).toBe('three')
  })
})

describe('a file of which only parts are read', () => {
  const padded = (front: Uint8Array, bytes = 3 * 1024 * 1024) => sounds.joined(front, new Uint8Array(bytes))
  const cover = sounds.joined('ID3', [4, 0, 0, 0, 1, 0, 0], new Uint8Array(16_384))
  const picture = sounds.joined('ID3', [4, 0, 0, 1, 0, 0, 0], new Uint8Array(2 ** 21))

  it.each<[string, Uint8Array]>([
    ['MP3', sounds.mp3(9000)],
    ['MP3 behind a tag', sounds.mp3(9000, sounds.id3)],
    ['MP3 behind a picture', sounds.mp3(9000, picture)],
    ['MP3 that counts its frames', padded(sounds.mp3WithCount(1000))],
    ['WAV', sounds.wav(2_000_000)],
    ['WAV with a format of an odd length', oddWav(sounds.wav(2_000_000))],
    ['WAV of unknown length', sounds.wav(2_000_000, 0xffffffff)],
    ['FLAC', padded(sounds.flac(160_000))],
    ['FLAC behind a picture', sounds.joined(picture, padded(sounds.flac(160_000)))],
    ['AAC', sounds.aac(30_000)],
    ['AAC of which a frame ends one byte before what is looked at', sounds.repeated(sounds.adts(1025), 3000)],
    ['AAC behind a picture', sounds.joined(picture, sounds.aac(30_000))],
    ['OGG', sounds.ogg('opus', 48_000 * 60, 3 * 1024 * 1024)],
    ['WebM', padded(sounds.webm({ durationMs: 5000 }))],
    ['M4A with its index behind', sounds.mp4({ seconds: 60, dataBytes: 3 * 1024 * 1024 })],
    ['a PDF', padded(sounds.joined('%PDF-1.7\n'))],
    ['nothing', new Uint8Array()],
    ['a tag and no more', cover],
    ['MP4 without an index', sounds.mp4({ dataBytes: 3 * 1024 * 1024 }).slice(0, 3 * 1024 * 1024)],
    ['boxes without an end', sounds.joined([0, 0, 0, 8], 'ftypM4A ', new Uint8Array(2 * 1024 * 1024))],
  ])('is what all of it is: %s', async (_what, bytes) => {
    const file = ranged(bytes)
    const [seen, whole] = [await resultOf(() => longSoundOf(file)), await resultOf(async () => soundOf(bytes))]
    if (typeof seen === 'object' && typeof whole === 'object') {
      expect({ ...seen, durationMs: 0 }).toEqual({ ...whole, durationMs: 0 })
      expect(Math.abs((seen.durationMs ?? 0) - (whole.durationMs ?? 0))).toBeLessThanOrEqual(50)
    } else expect(seen).toEqual(whole)
    expect(file.largest()).toBeLessThanOrEqual(1024 * 1024)
  })

  it('goes to a node as the same form, in parts', async () => {
    const bytes = new Uint8Array(9_500_000).map((_, at) => at % 251)
    const file = ranged(bytes)
    const { stream, body, contentType } = formBody(
      { content: file, name: 'sound.flac', mime: 'audio/flac' },
      { model: 'm' },
    )
    expect(body).toBeUndefined()
    const form = await new Response(stream ?? null, { headers: { 'content-type': contentType } }).formData()
    const sent = form.get('file')
    if (!(sent instanceof File)) throw new Error('no file')
    expect([form.get('model'), sent.name, sent.type]).toEqual(['m', 'sound.flac', 'audio/flac'])
    expect(Buffer.from(await sent.arrayBuffer()).equals(Buffer.from(bytes))).toBe(true)
    expect(file.largest()).toBeLessThanOrEqual(4 * 1024 * 1024)
  })
})

/** One byte more in the description of the samples, and one to fill up. */
const oddWav = (wav: Uint8Array): Uint8Array =>
  sounds.joined(wav.subarray(0, 16), [17, 0, 0, 0], wav.subarray(20, 36), [0, 0], wav.subarray(36))

const resultOf = async <T>(work: () => Promise<T>) => {
  try {
    return await work()
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

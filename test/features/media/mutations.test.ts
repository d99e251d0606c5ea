import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import { imageFormats, imageOf, soundFormats, soundOf, strippedImage } from '../../../src/features/media/service.ts'
import { count } from '../../support/lane.ts'
import { bmpOf, pixelsOf, pngOf } from '../../support/pictures.ts'
import { aac, flac, id3, joined, mp3, mp4, ogg, wav, webm } from '../../support/sounds.ts'

const fixture = (name: string) =>
  new Uint8Array(readFileSync(`${import.meta.dirname}/../../support/fixtures/pictures/${name}`))
const pixels = pixelsOf('house', 16)

type Sample = { kind: string; bytes: Uint8Array; signature: number }
const images: readonly Sample[] = [
  { kind: 'jpeg', bytes: fixture('turned.jpg'), signature: 3 },
  { kind: 'jpeg', bytes: fixture('house-small.jpg'), signature: 3 },
  { kind: 'png', bytes: pngOf(pixels, 16), signature: 8 },
  { kind: 'gif', bytes: fixture('moving.gif'), signature: 6 },
  { kind: 'webp', bytes: fixture('described.webp'), signature: 12 },
  { kind: 'bmp', bytes: bmpOf(pixels, 16), signature: 2 },
]
const sounds: readonly Sample[] = [
  { kind: 'mp3', bytes: mp3(5), signature: 4 },
  { kind: 'mp3', bytes: mp3(5, id3), signature: 3 },
  { kind: 'wav', bytes: wav(100), signature: 12 },
  { kind: 'flac', bytes: flac(100), signature: 4 },
  { kind: 'aac', bytes: aac(5), signature: 3 },
  { kind: 'ogg', bytes: ogg('opus', 1000), signature: 4 },
  { kind: 'webm', bytes: webm(), signature: 4 },
  { kind: 'm4a', bytes: mp4(), signature: 12 },
]
const samples = [...images, ...sounds]
const others = [
  '',
  '%PDF-1.7\n',
  '<!doctype html>',
  '{"a":1}',
  'BM is a word',
  'PK\x03\x04',
  '\x7fELF',
  'ID4',
  '#!/bin/sh\n',
].map((text) => joined(text))

const REFUSALS = new Set(['undecodable_image', 'no_audio_stream', 'too_long'])
const MAX_MS = 15_000

/** What a file is taken for: a kind, a refusal by one of three codes, or nothing. Anything else is a fault. */
function takenFor(bytes: Uint8Array): string | undefined {
  const startedMs = performance.now()
  try {
    const image = imageOf(bytes)
    if (image) strippedImage(bytes, image.format)
    return image?.format ?? soundOf(bytes)?.format
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    if (!REFUSALS.has(error.code)) throw error
    return 'refused'
  } finally {
    if (performance.now() - startedMs > MAX_MS) expect.fail('it took too long')
  }
}

const sample = fc.constantFrom(...samples)
const runs = { numRuns: count(300, 2000) }

describe('a file', () => {
  it('is what its bytes are, whatever it is called: five kinds of pictures and seven of sounds', () => {
    expect(new Set(images.map(({ bytes }) => takenFor(bytes)))).toEqual(new Set(imageFormats))
    expect(new Set(sounds.map(({ bytes }) => takenFor(bytes)))).toEqual(new Set(soundFormats))
    for (const { kind, bytes } of samples) expect(takenFor(bytes)).toBe(kind)
    for (const bytes of others) expect(takenFor(bytes)).toBeUndefined()
  })

  it('with bytes changed behind its signature is of its kind or refused, and never of another', () => {
    fc.assert(
      fc.property(
        sample,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        ({ kind, bytes, signature }, changes) => {
          const file = bytes.slice()
          for (const [at, value] of changes) file[signature + (at % (file.length - signature))] = value
          const seen = takenFor(file)
          // Without a second frame, a valid header or a known brand there is no signature to speak of.
          const isLoose = ['mp3', 'aac', 'bmp', 'm4a', 'webm'].includes(kind)
          expect([
            kind,
            'refused',
            ...(isLoose ? [undefined] : []),
            ...(kind === 'mp3' || kind === 'aac' ? ['mp3', 'aac'] : []),
          ]).toContain(seen)
        },
      ),
      runs,
    )
  })

  it('whose signature is gone is nothing that it was', () => {
    fc.assert(
      fc.property(sample, fc.nat(255), fc.nat(), ({ kind, bytes, signature }, value, place) => {
        const file = bytes.slice()
        const at = place % signature
        fc.pre(file[at] !== value && kind !== 'mp3' && kind !== 'aac' && kind !== 'm4a')
        // The sizes in a container of RIFF are no part of its signature, nor is the version of a GIF.
        fc.pre(!((kind === 'webp' || kind === 'wav') && at >= 4 && at < 8) && !(kind === 'gif' && at === 4))
        file[at] = value
        expect(takenFor(file)).not.toBe(kind)
      }),
      runs,
    )
  })

  it('behind or in front of another is what comes first', () => {
    fc.assert(
      fc.property(
        sample,
        fc.constantFrom(...samples.map(({ bytes }) => bytes), ...others.slice(1)),
        ({ kind, bytes }, other) => {
          expect(takenFor(joined(bytes, other))).toBe(kind)
          expect(takenFor(joined('%PDF-1.7\n', bytes, other))).toBeUndefined()
        },
      ),
      runs,
    )
  })

  it('of anything at all, or of parts of any, is taken for something in bounded time', () => {
    const part = fc
      .tuple(sample, fc.nat(2000), fc.nat(2000))
      .map(([{ bytes }, from, to]) => bytes.subarray(from % bytes.length, to))
    const pieces = fc.array(fc.oneof(part, fc.uint8Array({ maxLength: 50 })), { maxLength: 6 })
    fc.assert(
      fc.property(sample, pieces, ({ bytes, signature }, rest) => {
        takenFor(joined(...rest))
        takenFor(joined(bytes.subarray(0, signature), ...rest))
      }),
      runs,
    )
  })

  it('that is cut off anywhere is what it was, refused or nothing', () => {
    for (const { kind, bytes } of samples) {
      const seen = new Set<string | undefined>()
      for (let end = 0; end < bytes.length; end++) seen.add(takenFor(bytes.subarray(0, end)))
      expect([kind, 'refused', undefined]).toEqual(expect.arrayContaining([...seen]))
    }
  })

  it('of 20 MB that is made to be slow is not', () => {
    const size = 20 * 1024 * 1024
    const filled = (front: Uint8Array | string, fill: number) => {
      const file = new Uint8Array(size).fill(fill)
      file.set(typeof front === 'string' ? joined(front) : front)
      return file
    }
    for (const fill of [0, 0x01, 0xff]) {
      for (const { bytes, signature } of samples) takenFor(filled(bytes.subarray(0, Math.max(signature, 40)), fill))
    }
  })
})

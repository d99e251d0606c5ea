import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import { type SoundFormat, soundOf } from '../../../src/features/media/service.ts'
import { aac, flac, id3, joined, mp3, mp3WithCount, mp4, ogg, wav, webm } from '../../support/sounds.ts'

const codeOf = (bytes: Uint8Array): unknown => {
  try {
    return soundOf(bytes)?.format
  } catch (error) {
    return error instanceof AppError ? error.code : error
  }
}

const cover = joined('ID3', [4, 0, 0, 0, 0, 2, 0], new Uint8Array(256).fill(0xff))

describe('a sound', () => {
  it.each<[string, Uint8Array, SoundFormat, string, number | undefined]>([
    ['MP3', mp3(100), 'mp3', 'audio/mpeg', 2612],
    ['MP3 behind a tag', mp3(10, id3), 'mp3', 'audio/mpeg', 261],
    ['MP3 behind two tags and a gap', mp3(10, joined(id3, cover, new Uint8Array(500))), 'mp3', 'audio/mpeg', 261],
    ['MP3 that counts its frames', mp3WithCount(1000), 'mp3', 'audio/mpeg', 26_122],
    ['WAV', wav(4000), 'wav', 'audio/wav', 500],
    ['WAV of unknown length', wav(4000, 0xffffffff), 'wav', 'audio/wav', 500],
    ['FLAC', flac(24_000), 'flac', 'audio/flac', 1500],
    ['FLAC of unknown length', flac(0), 'flac', 'audio/flac', undefined],
    ['FLAC behind a tag', joined(id3, flac(16_000)), 'flac', 'audio/flac', 1000],
    ['AAC', aac(43), 'aac', 'audio/aac', 998],
    ['AAC behind a tag', joined(id3, aac(43)), 'aac', 'audio/aac', 998],
    ['Opus', ogg('opus', 48_312), 'ogg', 'audio/ogg', 1000],
    ['Vorbis', ogg('vorbis', 44_100), 'ogg', 'audio/ogg', 1000],
    ['WebM', webm({ durationMs: 1234.5 }), 'webm', 'audio/webm', 1235],
    ['WebM of a browser', webm(), 'webm', 'audio/webm', undefined],
    ['WebM with a picture too', webm({ trackTypes: [1, 2] }), 'webm', 'audio/webm', undefined],
    ['M4A', mp4(), 'm4a', 'audio/mp4', 2000],
    ['MP4 with a picture too', mp4({ brand: 'isom', handlers: ['vide', 'soun'] }), 'm4a', 'audio/mp4', 2000],
  ])('of the kind %s is known', (_what, bytes, format, mime, durationMs) => {
    expect(soundOf(bytes)).toEqual({ format, mime, extension: format, durationMs })
  })

  it.each<[string, Uint8Array]>([
    ['WAV without samples', wav(0)],
    ['WAV without a format', joined('RIFF', [4, 0, 0, 0], 'WAVE', 'data', [2, 0, 0, 0], [0, 0])],
    ['WAV that ends in its header', wav(10).subarray(0, 20)],
    ['Theora alone', ogg('theora', 100)],
    ['WebM of pictures alone', webm({ trackTypes: [1] })],
    ['WebM without tracks', webm({ trackTypes: [] })],
    ['MP4 of pictures alone', mp4({ brand: 'mp42', handlers: ['vide'] })],
    ['MP4 that ends before its index', mp4().subarray(0, 90)],
    ['FLAC that ends in its header', flac(10).subarray(0, 30)],
    ['a tag alone', id3],
  ])('is missing in %s', (_what, bytes) => {
    expect(codeOf(bytes)).toBe('no_audio_stream')
  })

  it.each<[string, Uint8Array | string]>([
    ['nothing', ''],
    ['a text', 'RIFF is a word, OggS and ID3 too'],
    ['one frame that stands alone', mp3(1)],
    ['a frame and something else', joined(mp3(1), new Uint8Array(500))],
    ['a text of UTF-16', joined([0xff, 0xfe], 'h\0e\0l\0l\0o\0')],
    ['a picture of the same container', mp4({ brand: 'heic' })],
    ['a film of another kind', webm({ docType: 'matroska' })],
    ['a PDF', '%PDF-1.7\n'],
    ['AVI', joined('RIFF', [4, 0, 0, 0], 'AVI ')],
  ])('is not %s', (_what, content) => {
    expect(codeOf(typeof content === 'string' ? joined(content) : content)).toBeUndefined()
  })
})

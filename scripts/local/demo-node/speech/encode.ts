import { concatBytes } from './bytes.ts'
import { SPOKEN_RATE } from './tone-text.ts'

/** One sentence on its way out. */
export type SpokenPart = { text: string; samples: Float32Array }

export const speechFormats = ['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'] as const
export type SpeechFormat = (typeof speechFormats)[number]

export const speechTypes: Readonly<Record<SpeechFormat, string>> = {
  mp3: 'audio/mpeg',
  opus: 'audio/opus',
  aac: 'audio/aac',
  flac: 'audio/flac',
  wav: 'audio/wav',
  pcm: 'audio/pcm',
}

/** Little-endian 16-bit samples. */
export function toPcm(samples: Float32Array): Buffer {
  const bytes = Buffer.alloc(samples.length * 2)
  for (const [index, sample] of samples.entries()) {
    bytes.writeInt16LE(Math.round(Math.max(-1, Math.min(1, sample)) * 0x7fff), index * 2)
  }
  return bytes
}

/** A header for mono 16-bit samples at 24 kHz. */
export function wavHeader(dataBytes: number): Buffer {
  const header = Buffer.alloc(44)
  header.write('RIFF', 0, 'latin1')
  header.writeUInt32LE(36 + dataBytes, 4)
  header.write('WAVEfmt ', 8, 'latin1')
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(SPOKEN_RATE, 24)
  header.writeUInt32LE(SPOKEN_RATE * 2, 28)
  header.writeUInt16LE(2, 32)
  header.writeUInt16LE(16, 34)
  header.write('data', 36, 'latin1')
  header.writeUInt32LE(dataBytes, 40)
  return header
}

/** MPEG-2 layer III, 32 kbit/s, 24 kHz, mono: 96 bytes for 576 samples, which are all zero. */
const silentFrame = Buffer.concat([Buffer.from([0xff, 0xf3, 0x44, 0xc4]), Buffer.alloc(92)])
const FRAME_SAMPLES = 576
/** ID3v2.4 sizes have seven bits a byte. */
const syncsafe = (size: number): Buffer =>
  Buffer.from([(size >> 21) & 0x7f, (size >> 14) & 0x7f, (size >> 7) & 0x7f, size & 0x7f])

/** The description of the ID3 comment that carries the words. */
export const WORDS_TAG = 'demo-node'

function id3(text: string): Buffer {
  const body = Buffer.concat([Buffer.from([3]), Buffer.from('eng'), Buffer.from(`${WORDS_TAG}\0${text}`)])
  const frame = Buffer.concat([Buffer.from('COMM'), syncsafe(body.length), Buffer.from([0, 0]), body])
  return Buffer.concat([Buffer.from('ID3'), Buffer.from([4, 0, 0]), syncsafe(frame.length), frame])
}

/**
 * The parts in a format, one buffer for each sentence. MP3 is silence of the right length with the words in its tag:
 * there is no encoder here.
 */
export function encodeParts(parts: readonly SpokenPart[], format: 'wav' | 'pcm' | 'mp3'): Uint8Array[] {
  const [first, ...rest] = parts.map(({ samples }) => {
    if (format !== 'mp3') return toPcm(samples)
    const frames = Math.ceil(samples.length / FRAME_SAMPLES)
    return Buffer.concat(Array.from({ length: frames }, () => silentFrame))
  })
  if (format === 'pcm') return first ? [first, ...rest] : []
  const total = parts.reduce((sum, { samples }) => sum + samples.length * 2, 0)
  const head = format === 'wav' ? wavHeader(total) : id3(parts.map(({ text }) => text).join(''))
  return [first ? concatBytes([head, first]) : head, ...rest]
}

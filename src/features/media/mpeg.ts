import { big, has, noAudio } from './bytes.ts'
import { flacSound } from './flac.ts'
import type { Heard } from './sound.ts'

/** How far behind a tag the first frame may be. */
const MAX_GAP_BYTES = 64 * 1024

/** kbit/s of layer III by the header's index: of MPEG 1, and of MPEG 2 and 2.5. */
const BIT_RATES = [
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
]
const MPEG1_RATES = [44_100, 48_000, 32_000]
const ADTS_RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350]

type Frame = { length: number; samples: number; rate: number }
type FrameReader = (bytes: Uint8Array, at: number) => Frame | undefined

/** A frame of layer III (ISO 11172-3, 2.4.2.3). A free bit rate says no length and is not taken. */
function mp3Frame(bytes: Uint8Array, at: number): Frame | undefined {
  const header = big(bytes, at, 4)
  const version = (header >>> 19) & 3
  const rateIndex = (header >>> 10) & 3
  if (header >>> 21 !== 0x7ff || version === 1 || ((header >>> 17) & 3) !== 1 || rateIndex === 3) return undefined
  const isFirst = version === 3
  const bitRate = BIT_RATES[isFirst ? 0 : 1]?.[(header >>> 12) & 15]
  if (!bitRate) return undefined
  const rate = (MPEG1_RATES[rateIndex] ?? 0) / (isFirst ? 1 : version === 2 ? 2 : 4)
  const samples = isFirst ? 1152 : 576
  return { length: Math.floor(((samples / 8) * bitRate * 1000) / rate) + ((header >>> 9) & 1), samples, rate }
}

/** A frame of AAC (ISO 13818-7, 6.2). */
function adtsFrame(bytes: Uint8Array, at: number): Frame | undefined {
  if (at + 7 > bytes.length || (big(bytes, at, 2) & 0xfff6) !== 0xfff0) return undefined
  const rate = ADTS_RATES[((bytes[at + 2] ?? 0) >> 2) & 15]
  const length = (big(bytes, at + 3, 3) >>> 5) & 0x1fff
  return rate === undefined || length < 7
    ? undefined
    : { length, samples: (((bytes[at + 6] ?? 0) & 3) + 1) * 1024, rate }
}

/** Two frames that follow each other at the same rate: four bytes alone may be anything. */
function begins(bytes: Uint8Array, at: number, read: FrameReader): boolean {
  const first = read(bytes, at)
  const second = first && read(bytes, at + first.length)
  return second !== undefined && first?.rate === second.rate && at + first.length + 4 <= bytes.length
}

/** The longest of both kinds. */
const HEADER_BYTES = 7

/** Counted frame by frame, as long as one follows the other; what is not seen is taken to be like what is. */
function durationOf({ bytes, sizeBytes }: Front, start: number, read: FrameReader): number {
  let seconds = 0
  let at = start
  for (let frame = read(bytes, at); frame && at + 4 <= bytes.length; frame = read(bytes, at)) {
    seconds += frame.samples / frame.rate
    at += frame.length
  }
  // A header at the very end may be half of one: it tells nothing of what is behind.
  const isAllSeen = sizeBytes <= bytes.length || at + HEADER_BYTES <= bytes.length
  return Math.round((isAllSeen ? seconds : (seconds * (sizeBytes - start)) / (at - start)) * 1000)
}

/** The beginning of a file, or all of it, and how long the file is. */
type Front = { bytes: Uint8Array; sizeBytes: number }

export const ID3_HEADER_BYTES = 10

/** How long the tag is that begins there; 0 where none does. Throws 422 `no_audio_stream` for a damaged one. */
export function tagLength(bytes: Uint8Array, at: number): number {
  if (!has(bytes, at, 'ID3')) return 0
  // Seven bits of each byte (ID3v2, 3.1); a footer repeats the header.
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(at + 6, at + 10)
  if (at + ID3_HEADER_BYTES > bytes.length || (a | b | c | d) > 127) throw noAudio('its tag is damaged')
  const footer = (bytes[at + 5] ?? 0) & 0x10 ? ID3_HEADER_BYTES : 0
  return ID3_HEADER_BYTES + footer + ((a << 21) | (b << 14) | (c << 7) | d)
}

/** Behind the tags in front of a sound. */
function tagEnd(bytes: Uint8Array): number {
  let at = 0
  for (let length = tagLength(bytes, at); length > 0; length = tagLength(bytes, at)) at += length
  return at
}

/** A place between two frames, and the time from the first of them, which begins at `from`, to it. */
export type FramePlace = { from: number; at: number; ms: number }

/**
 * The place behind the last whole frame of some bytes that ends within `mostMs`. What is no frame has no time, and is
 * passed over up to the next two frames in a row. Where there is no frame, all three are 0.
 */
export function frameWithin(bytes: Uint8Array, format: 'mp3' | 'aac', mostMs: number): FramePlace {
  const read = format === 'mp3' ? mp3Frame : adtsFrame
  let place: FramePlace = { from: 0, at: 0, ms: 0 }
  for (let at = tagEnd(bytes); at < bytes.length; ) {
    const frame = read(bytes, at)
    if (frame) {
      const ms = place.ms + (frame.samples * 1000) / frame.rate
      if (at + frame.length > bytes.length || ms > mostMs) return place
      place = { from: place.at === 0 ? at : place.from, at: at + frame.length, ms }
      at = place.at
    } else at = nextFrame(bytes, at + 1, read)
  }
  return place
}

/** Where the next two frames in a row begin, or the end. */
function nextFrame(bytes: Uint8Array, from: number, read: FrameReader): number {
  let at = bytes.indexOf(0xff, from)
  while (at >= 0 && !begins(bytes, at, read)) at = bytes.indexOf(0xff, at + 1)
  return at < 0 ? bytes.length : at
}

/** MP3 or AAC, with or without tags in front; undefined for anything else. Of a long file its beginning is enough. */
export function mpegSound(bytes: Uint8Array, sizeBytes: number = bytes.length): Heard | undefined {
  const start = tagEnd(bytes)
  if (start > 0 && has(bytes, start, 'fLaC')) return flacSound(bytes.subarray(start))
  const last = start === 0 ? 0 : Math.min(start + MAX_GAP_BYTES, bytes.length)
  for (let at = start; at <= last; at++) {
    if (bytes[at] !== 0xff) continue
    if (begins(bytes, at, mp3Frame)) return { format: 'mp3', durationMs: mp3Duration({ bytes, sizeBytes }, at) }
    if (begins(bytes, at, adtsFrame)) {
      return { format: 'aac', durationMs: durationOf({ bytes, sizeBytes }, at, adtsFrame) }
    }
  }
  if (start > 0) throw noAudio('behind its tag is no sound that is known here')
  return undefined
}

/** The first frame may say how many follow: that counts in its place. */
function mp3Duration(front: Front, at: number): number {
  const frame = mp3Frame(front.bytes, at)
  const told = frame && toldFrames(front.bytes.subarray(at, at + frame.length))
  return told ? Math.round((told * frame.samples * 1000) / frame.rate) : durationOf(front, at, mp3Frame)
}

/** Frames as the headers of Xing, Info or VBRI tell, which stand behind the first frame's side information. */
function toldFrames(frame: Uint8Array): number | undefined {
  for (const at of [13, 21, 36]) {
    const isHeader = has(frame, at, 'Xing') || has(frame, at, 'Info')
    if (isHeader && big(frame, at + 4, 4) & 1) return big(frame, at + 8, 4)
    if (has(frame, at, 'VBRI')) return big(frame, at + 14, 4)
  }
  return undefined
}

import type { SentFile } from './form.ts'
import type { GivenSound } from './sound-input.ts'
import { joined, type Transcript } from './transcript.ts'

/** A tunnel gives up after some minutes of silence, and a part is in memory beside the whole. */
const MOST_MS = 10 * 60_000
const MOST_BYTES = 16 * 1024 * 1024
/** How far before its end a window may be cut, at the quietest place. */
const SEARCHED_MS = 20_000
const FRAME_MS = 100

/** A part of a sound, and when it begins in the whole. */
export type Window = { file: SentFile; startMs: number; durationMs: number | undefined }

/** A long WAV in parts of at most ten minutes, cut where it is quietest; any other sound whole, for it cannot be cut here. */
export function* windowsOf({ sound, file }: GivenSound): Generator<Window> {
  const wav = sound.format === 'wav' ? layoutOf(file.bytes) : undefined
  const most = wav ? Math.min((MOST_MS / 1000) * wav.bytesPerSecond, MOST_BYTES) : 0
  if (!wav || wav.end - wav.start <= most) {
    yield { file, startMs: 0, durationMs: sound.durationMs }
    return
  }
  const msAt = (bytes: number): number => Math.round((bytes * 1000) / wav.bytesPerSecond)
  for (let at = wav.start; at < wav.end; ) {
    const end = at + most >= wav.end ? wav.end : quietest(wav, at + most)
    const bytes = withHeader(wav, at, end)
    yield { file: { ...file, bytes }, startMs: msAt(at - wav.start), durationMs: msAt(end - at) }
    at = end
  }
}

type Layout = {
  bytes: Buffer
  format: Buffer
  /** Of the samples. */
  start: number
  end: number
  bytesPerSecond: number
  /** Bytes of one sample of every channel. */
  block: number
  is16Bit: boolean
}

function layoutOf(sound: Uint8Array): Layout | undefined {
  const bytes = Buffer.from(sound.buffer, sound.byteOffset, sound.byteLength)
  let format: Buffer | undefined
  for (let at = 12; at + 8 <= bytes.length; ) {
    const [name, length] = [bytes.toString('latin1', at, at + 4), bytes.readUInt32LE(at + 4)]
    if (name === 'fmt ' && length >= 16) format = bytes.subarray(at, at + 8 + length)
    if (name === 'data') {
      if (!format || format.length < 24) return undefined
      const [bytesPerSecond, block] = [format.readUInt32LE(16), format.readUInt16LE(20)]
      if (bytesPerSecond === 0 || block === 0) return undefined
      const is16Bit = format.readUInt16LE(8) === 1 && format.readUInt16LE(22) === 16
      const start = at + 8
      const present = Math.min(length, bytes.length - start)
      return { bytes, format, start, end: start + present - (present % block), bytesPerSecond, block, is16Bit }
    }
    at += 8 + length + (length % 2)
  }
  return undefined
}

/** A place between two samples in the seconds before `latest`. */
function quietest({ bytes, start, bytesPerSecond, block, is16Bit }: Layout, latest: number): number {
  const aligned = (place: number): number => place - ((place - start) % block)
  if (!is16Bit) return aligned(latest)
  const frame = aligned(start + (FRAME_MS / 1000) * bytesPerSecond) - start
  if (frame === 0) return aligned(latest)
  let best = { at: aligned(latest), level: Number.POSITIVE_INFINITY }
  const from = Math.max(start, latest - (SEARCHED_MS / 1000) * bytesPerSecond)
  for (let at = aligned(from); at + frame <= latest; at += frame) {
    let level = 0
    for (let sample = at; sample + 2 <= at + frame; sample += 2) level += Math.abs(bytes.readInt16LE(sample))
    // Of equals the last, so that windows are long.
    if (level <= best.level) best = { at: aligned(at + frame / 2), level }
  }
  return best.at
}

function withHeader({ bytes, format }: Layout, from: number, to: number): Uint8Array {
  const head = Buffer.alloc(12 + format.length + 8)
  head.write('RIFF', 0, 'latin1')
  head.writeUInt32LE(4 + format.length + 8 + (to - from), 4)
  head.write('WAVE', 8, 'latin1')
  format.copy(head, 12)
  head.write('data', 12 + format.length, 'latin1')
  head.writeUInt32LE(to - from, 16 + format.length)
  return Buffer.concat([head, bytes.subarray(from, to)])
}

/** What was heard in each part, as one. */
export function together(parts: readonly { startMs: number; transcript: Transcript }[]): Transcript {
  const [first] = parts
  if (!first || parts.length === 1) return first?.transcript ?? NOTHING
  const last = parts.at(-1) ?? first
  const moved = <T extends { start: number; end: number }>(some: readonly T[] | undefined, startMs: number): T[] =>
    (some ?? []).map((one) => ({ ...one, start: one.start + startMs / 1000, end: one.end + startMs / 1000 }))
  const all = parts.map(({ transcript }) => transcript)
  return {
    text: joined(all.map(({ text }) => text)),
    language:
      all.find(({ text, language }) => text !== '' && language !== undefined)?.language ?? first.transcript.language,
    durationMs: last.startMs + (last.transcript.durationMs ?? 0),
    segments: all.every(({ segments }) => segments)
      ? parts.flatMap(({ transcript, startMs }) => moved(transcript.segments, startMs))
      : undefined,
    words: all.some(({ words }) => words)
      ? parts.flatMap(({ transcript, startMs }) => moved(transcript.words, startMs))
      : undefined,
  }
}

const NOTHING: Transcript = {
  text: '',
  language: undefined,
  durationMs: undefined,
  segments: undefined,
  words: undefined,
}

import { behindTags, frameWithin, type RangedFile, type WavPlaces, wavPlaces } from '../media/service.ts'
import type { SentFile } from './form.ts'
import { type GivenSound, LONGEST_MS, tooLong } from './sound-input.ts'

/** A tunnel gives up after some minutes of silence, and a part is in memory. */
const MOST_MS = 10 * 60_000
const MOST_BYTES = 16 * 1024 * 1024
/** How far before its end a window of samples may be cut, at the quietest place. */
const SEARCHED_MS = 20_000
const FRAME_MS = 100
/** Where nobody knows how loud it is, a word may be cut: both windows hear what is around. */
const OVERLAP_MS = 2000
/** What stands in front of the frames is sent along, unless it is a picture. */
const MOST_TAG_BYTES = 256 * 1024

/** A part of a sound, when it begins in the whole, and how much of its beginning was in the part before. */
export type Window = { file: SentFile; startMs: number; overlapMs: number; durationMs: number | undefined }

/**
 * A long sound in parts of at most ten minutes: WAV cut where it is quietest, MP3 and AAC between frames; any other
 * sound whole, for it cannot be cut here. Throws 422 `too_long` for what is longer than its beginning made believe, and as
 * the file does.
 */
export async function* windowsOf({ sound, file }: GivenSound): AsyncGenerator<Window> {
  const source = rangedOf(file.content)
  const { format, durationMs } = sound
  const wav = format === 'wav' ? layoutOf(await wavPlaces(source)) : undefined
  if (wav && wav.end - wav.start > mostOf(wav)) return yield* windowsOfWav(source, { file, wav })
  const isLong = source.sizeBytes > MOST_BYTES || (durationMs ?? 0) > MOST_MS
  if (isLong && (format === 'mp3' || format === 'aac')) return yield* windowsOfFrames(source, { file, format })
  yield { file, startMs: 0, overlapMs: 0, durationMs }
}

const rangedOf = (content: SentFile['content']): RangedFile =>
  content instanceof Uint8Array
    ? { sizeBytes: content.length, part: async (from, to) => content.subarray(from, to) }
    : content

type Framed = { file: SentFile; format: 'mp3' | 'aac' }

/**
 * Each begins some seconds before the one in front of it ends. What is no frame is sent where it stands between some, and
 * as the beginning or the end of the whole.
 */
async function* windowsOfFrames(source: RangedFile, { file, format }: Framed): AsyncGenerator<Window> {
  const tagBytes = await behindTags(source)
  const first = tagBytes > MOST_TAG_BYTES ? tagBytes : 0
  let at = first
  let [startMs, overlapMs] = [0, 0]
  for (;;) {
    // A beginning can tell what it likes: without an end to it, small frames would be parts without number.
    if (startMs > LONGEST_MS) throw tooLong(LONGEST_MS / 60_000)
    const bytes = await source.part(at, Math.min(at + MOST_BYTES, source.sizeBytes))
    const isEnd = at + bytes.length >= source.sizeBytes
    const end = frameWithin(bytes, format, MOST_MS)
    const isLast = isEnd && frameWithin(bytes, format, Number.POSITIVE_INFINITY).at === end.at
    const until = isLast || end.at === 0 ? bytes.length : end.at
    if (at === first || end.at > 0) {
      const content = bytes.subarray(at === first ? 0 : end.from, until)
      yield { file: { ...file, content }, startMs: Math.round(startMs), overlapMs, durationMs: Math.round(end.ms) }
    }
    if (at + until >= source.sizeBytes) return
    const back = frameWithin(bytes, format, end.ms - OVERLAP_MS)
    const next = back.at > 0 ? back : { at: until, ms: end.ms }
    at += next.at
    startMs += next.ms
    overlapMs = Math.round(end.ms - next.ms)
  }
}

type Layout = {
  format: Buffer
  /** Of the samples. */
  start: number
  end: number
  bytesPerSecond: number
  /** Bytes of one sample of every channel. */
  block: number
  is16Bit: boolean
}

/** Undefined where a damaged header says nothing of how the samples are laid out. */
function layoutOf(places: WavPlaces | undefined): Layout | undefined {
  if (!places || places.format.length < 24) return undefined
  const { start, end } = places
  const format = Buffer.from(places.format)
  const [bytesPerSecond, block] = [format.readUInt32LE(16), format.readUInt16LE(20)]
  if (bytesPerSecond === 0 || block === 0) return undefined
  const is16Bit = format.readUInt16LE(8) === 1 && format.readUInt16LE(22) === 16
  return { format, start, end: end - ((end - start) % block), bytesPerSecond, block, is16Bit }
}

const mostOf = ({ bytesPerSecond }: Layout): number => Math.min((MOST_MS / 1000) * bytesPerSecond, MOST_BYTES)

async function* windowsOfWav(source: RangedFile, { file, wav }: { file: SentFile; wav: Layout }) {
  const most = mostOf(wav) - (mostOf(wav) % wav.block) || wav.block
  const msAt = (bytes: number): number => Math.round((bytes * 1000) / wav.bytesPerSecond)
  for (let at = wav.start; at < wav.end; ) {
    const part = await source.part(at, Math.min(at + most, wav.end))
    // The same memory: a copy would be sixteen megabytes more.
    const samples = Buffer.from(part.buffer, part.byteOffset, part.byteLength)
    const length = at + samples.length >= wav.end ? samples.length : quietest(wav, samples)
    const content = withHeader(wav, samples.subarray(0, length))
    yield { file: { ...file, content }, startMs: msAt(at - wav.start), overlapMs: 0, durationMs: msAt(length) }
    at += length
  }
}

/** A place between two samples in the last seconds of these. */
function quietest({ bytesPerSecond, block, is16Bit }: Layout, samples: Buffer): number {
  const latest = samples.length
  const aligned = (place: number): number => place - (place % block)
  const frame = aligned((FRAME_MS / 1000) * bytesPerSecond)
  if (!is16Bit || frame === 0) return aligned(latest) || latest
  let best = { at: aligned(latest), level: Number.POSITIVE_INFINITY }
  const from = Math.max(block, latest - (SEARCHED_MS / 1000) * bytesPerSecond)
  for (let at = aligned(from); at + frame <= latest; at += frame) {
    let level = 0
    for (let sample = at; sample + 2 <= at + frame; sample += 2) level += Math.abs(samples.readInt16LE(sample))
    // Of equals the last, so that windows are long.
    if (level <= best.level) best = { at: aligned(at + frame / 2), level }
  }
  return best.at || latest
}

function withHeader({ format }: Layout, samples: Uint8Array): Uint8Array {
  const head = Buffer.alloc(12 + format.length + 8)
  head.write('RIFF', 0, 'latin1')
  head.writeUInt32LE(4 + format.length + 8 + samples.length, 4)
  head.write('WAVE', 8, 'latin1')
  format.copy(head, 12)
  head.write('data', 12 + format.length, 'latin1')
  head.writeUInt32LE(samples.length, 16 + format.length)
  return Buffer.concat([head, samples])
}

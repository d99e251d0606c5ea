import { big, big64, has, little, noAudio, textAt } from './bytes.ts'
import { flacSound } from './flac.ts'
import { ID3_HEADER_BYTES, mpegSound, tagLength } from './mpeg.ts'
import { asSound, type Heard, type Sound, soundOf } from './sound.ts'
import { wavSound } from './wav.ts'

/** A file of which only parts are in memory: the bytes from one place to another, both within it. */
export type RangedFile = { sizeBytes: number; part(from: number, to: number): Promise<Uint8Array> }

/** Of what stands in front of a sound. */
const FRONT_BYTES = 1024 * 1024
/** The last pages of an Ogg are in there: one has at most 65,307 bytes. */
const BACK_BYTES = 256 * 1024
/** Of the tables of a film's frames. */
const MOST_INDEX_BYTES = 24 * 1024 * 1024
/** Tags, chunks and boxes that are looked at in search of one. */
const MOST_PARTS = 200

/** The same as `soundOf`, by those parts of a long file that tell. Throws as it does, and as the file. */
export async function longSoundOf(file: RangedFile): Promise<Sound | undefined> {
  const front = await partOf(file, 0, FRONT_BYTES)
  if (has(front, 4, 'ftyp'))
    return soundOf(joined(front.subarray(0, Math.max(big(front, 0, 4), 16)), await indexOf(file)))
  if ((has(front, 0, 'RIFF') || has(front, 0, 'RF64')) && has(front, 8, 'WAVE')) return asSound(await longWav(file))
  if (has(front, 0, 'OggS')) {
    const back = await file.part(Math.max(front.length, file.sizeBytes - BACK_BYTES), file.sizeBytes)
    return soundOf(joined(front, back))
  }
  const start = await behindTags(file)
  const heard = start === 0 ? undefined : await behindTag(file, start)
  if (heard) return asSound(heard)
  const mpeg = has(front, 0, 'fLaC') || has(front, 0, '\x1a\x45\xdf\xa3') ? undefined : mpegSound(front, file.sizeBytes)
  return mpeg ? asSound(mpeg) : soundOf(front)
}

const partOf = ({ sizeBytes, part }: RangedFile, from: number, bytes: number): Promise<Uint8Array> =>
  part(Math.min(from, sizeBytes), Math.min(from + bytes, sizeBytes))

const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

/** Behind the tags in front of a sound: one may hold a picture of many megabytes. Throws 422 `no_audio_stream`. */
export async function behindTags(file: RangedFile): Promise<number> {
  let at = 0
  for (let tags = 0; tags < MOST_PARTS && (at === 0 || at < file.sizeBytes); tags++) {
    const length = tagLength(await partOf(file, at, ID3_HEADER_BYTES), 0)
    if (length === 0) return at
    at += length
  }
  throw noAudio('behind its tag is nothing')
}

/** A tag of nothing (ID3v2): behind one the first frame may be some bytes away. */
const EMPTY_TAG = Uint8Array.of(0x49, 0x44, 0x33, 4, 0, 0, 0, 0, 0, 0)

async function behindTag(file: RangedFile, start: number): Promise<Heard | undefined> {
  const front = await partOf(file, start, FRONT_BYTES)
  if (has(front, 0, 'fLaC')) return flacSound(front)
  return mpegSound(joined(EMPTY_TAG, front), EMPTY_TAG.length + file.sizeBytes - start)
}

/** Where the chunks of a WAV are that are needed of it: the description of its samples, and these. */
export type WavPlaces = { format: Uint8Array; start: number; end: number }

/** Undefined where one of the two is missing. */
export async function wavPlaces(file: RangedFile): Promise<WavPlaces | undefined> {
  let format: Uint8Array | undefined
  let at = 12
  for (let chunks = 0; chunks < MOST_PARTS && at + 8 <= file.sizeBytes; chunks++) {
    const head = await partOf(file, at, 8)
    const length = little(head, 4, 4)
    const next = at + 8 + length + (length % 2)
    if (has(head, 0, 'fmt ')) format = await partOf(file, at, Math.min(next - at, FRONT_BYTES))
    if (has(head, 0, 'data')) return format && { format, start: at + 8, end: Math.min(file.sizeBytes, at + 8 + length) }
    at = next
  }
  return undefined
}

async function longWav(file: RangedFile): Promise<Heard> {
  const places = await wavPlaces(file)
  if (!places) throw noAudio('it has no samples, or no format of them')
  const { format, start, end } = places
  const length = end - start
  const told = Uint8Array.of(length & 255, (length >>> 8) & 255, (length >>> 16) & 255, length >>> 24)
  const head = joined(Buffer.from('RIFF\0\0\0\0WAVE'), format, Buffer.from('data'), told)
  return wavSound(head, head.length + length)
}

/** The `moov` of a file of MPEG-4, wherever it stands among the boxes; nothing where there is none. */
async function indexOf(file: RangedFile): Promise<Uint8Array> {
  let at = 0
  for (let boxes = 0; boxes < MOST_PARTS && at + 8 <= file.sizeBytes; boxes++) {
    const head = await partOf(file, at, 16)
    const short = big(head, 0, 4)
    const length = short === 1 ? big64(head, 8) : short === 0 ? file.sizeBytes - at : short
    if (textAt(head, 4, 4) === 'moov') {
      if (length > MOST_INDEX_BYTES) throw noAudio('the index of its tracks is too long')
      return partOf(file, at, length)
    }
    if (length < 8) break
    at += length
  }
  return new Uint8Array()
}

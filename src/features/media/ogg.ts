import { big, has, little, little64, noAudio, searchable } from './bytes.ts'
import { flacInfo } from './flac.ts'
import type { Heard } from './sound.ts'

type Track = { serial: number; rate: number; skipped: number }

/** The first packet of a stream, which tells its codec; undefined where that is no sound. */
function trackOf(bytes: Uint8Array, at: number, serial: number): Track | undefined {
  if (has(bytes, at, 'OpusHead')) return { serial, rate: 48_000, skipped: little(bytes, at + 10, 2) }
  if (has(bytes, at, '\x01vorbis')) return { serial, rate: little(bytes, at + 12, 4), skipped: 0 }
  if (has(bytes, at, 'Speex   ')) return { serial, rate: little(bytes, at + 36, 4), skipped: 0 }
  if (!has(bytes, at, '\x7fFLAC') || big(bytes, at + 5, 1) !== 1) return undefined
  return { serial, rate: flacInfo(bytes, at + 17).rate, skipped: 0 }
}

const isPage = (bytes: Uint8Array, at: number) => has(bytes, at, 'OggS') && at + 27 <= bytes.length
const FIRST_OF_STREAM = 2

/** The first stream of sound; each begins on a page of its own, before anything else (RFC 3533, 6). */
function firstTrack(bytes: Uint8Array): Track | undefined {
  for (let at = 0; isPage(bytes, at) && ((bytes[at + 5] ?? 0) & FIRST_OF_STREAM) !== 0; ) {
    const segments = bytes[at + 26] ?? 0
    const data = at + 27 + segments
    const track = trackOf(bytes, data, little(bytes, at + 14, 4))
    if (track !== undefined && track.rate > 0) return track
    at = bytes.subarray(at + 27, data).reduce((end, length) => end + length, data)
  }
  return undefined
}

/** How many pages from the end are looked at for the last of the sound. */
const MAX_LAST_PAGES = 64
const NOWHERE = 2 ** 64 - 1

function lastPosition(bytes: Uint8Array, { serial }: Track): number | undefined {
  const buffer = searchable(bytes)
  let at = buffer.lastIndexOf('OggS')
  for (let seen = 0; at > 0 && seen < MAX_LAST_PAGES; seen++) {
    const position = little64(bytes, at + 6)
    if (isPage(bytes, at) && little(bytes, at + 14, 4) === serial && position < NOWHERE) return position
    at = buffer.lastIndexOf('OggS', at - 1)
  }
  return undefined
}

/** Opus, Vorbis, FLAC or Speex; its length by the position on its last page. */
export function oggSound(bytes: Uint8Array): Heard {
  const track = firstTrack(bytes)
  if (track === undefined) throw noAudio('none of its streams is a sound that is known here')
  const position = lastPosition(bytes, track)
  const samples = position === undefined ? 0 : position - track.skipped
  return { format: 'ogg', durationMs: samples > 0 ? Math.round((samples * 1000) / track.rate) : undefined }
}

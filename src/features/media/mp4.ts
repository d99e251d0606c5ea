import { big, big64, has, noAudio, textAt } from './bytes.ts'
import type { Heard } from './sound.ts'

/** Brands of files that hold sounds and films; pictures of the same container have others. */
const BRAND = /^(?:M4[AB] |mp4[12]|iso[m2-9]|avc1|dash|MSNV|3gp.|qt {2})$/
const PICTURE = /^(?:heic|heix|heim|heis|hevc|mif1|msf1|avif|avis|crx )$/

type Box = { type: string; data: number; end: number }

function* boxesOf(bytes: Uint8Array, from: number, to: number): Generator<Box> {
  for (let at = from; at + 8 <= to; ) {
    const short = big(bytes, at, 4)
    const isLong = short === 1
    const size = isLong ? big64(bytes, at + 8) : short
    const data = at + (isLong ? 16 : 8)
    const end = size === 0 ? to : Math.min(to, at + size)
    if (end < data) return
    yield { type: textAt(bytes, at + 4, 4), data, end }
    at = end
  }
}

function child(bytes: Uint8Array, parent: Box | undefined, type: string): Box | undefined {
  if (parent === undefined) return undefined
  for (const box of boxesOf(bytes, parent.data, parent.end)) if (box.type === type) return box
  return undefined
}

function brandsOf(bytes: Uint8Array): string[] {
  const end = Math.min(big(bytes, 0, 4), bytes.length, 512)
  const brands = [textAt(bytes, 8, 4)]
  for (let at = 16; at + 4 <= end; at += 4) brands.push(textAt(bytes, at, 4))
  return brands
}

/** MPEG-4 (ISO 14496-12) with a track of sound; undefined for other files of the container. */
export function mp4Sound(bytes: Uint8Array): Heard | undefined {
  const brands = brandsOf(bytes)
  if (PICTURE.test(brands[0] ?? '') || !brands.some((brand) => BRAND.test(brand))) return undefined
  const movie = child(bytes, { type: '', data: 0, end: bytes.length }, 'moov')
  if (movie === undefined) throw noAudio('it has no index of its tracks')
  for (const track of boxesOf(bytes, movie.data, movie.end)) {
    const media = track.type === 'trak' ? child(bytes, track, 'mdia') : undefined
    const handler = child(bytes, media, 'hdlr')
    if (handler && has(bytes, handler.data + 8, 'soun')) {
      return { format: 'm4a', durationMs: durationIn(bytes, child(bytes, media, 'mdhd')) }
    }
  }
  throw noAudio('none of its tracks is a sound')
}

/** Zero where the sound comes in fragments: then nothing in front of them tells. */
function durationIn(bytes: Uint8Array, header: Box | undefined): number | undefined {
  if (header === undefined) return undefined
  const isLong = bytes[header.data] === 1
  const timescale = big(bytes, header.data + (isLong ? 20 : 12), 4)
  const duration = isLong ? big64(bytes, header.data + 24) : big(bytes, header.data + 16, 4)
  return timescale > 0 && duration > 0 && duration < 0xffffffff ? Math.round((duration * 1000) / timescale) : undefined
}

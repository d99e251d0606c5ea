import { big, brokenImage, has, little, partCounter, searchable } from './bytes.ts'
import type { Size } from './image.ts'

/** A marker with what belongs to it: its data is between `data` and `end`, and a scan's pixels are behind `end`. */
export type Segment = { marker: number; start: number; data: number; end: number }

export const START_OF_SCAN = 0xda
const END_OF_IMAGE = 0xd9
const ICC = 'ICC_PROFILE\0'
const EXIF = 'Exif\0\0'

/** Frames of every coding, from baseline to lossless; the gaps are tables. */
export const isFrameHeader = (marker: number) =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc

const isAlone = (marker: number) => marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)

/** Every segment up to the end of the image (ITU T.81, annex B). Throws `undecodable_image` where it breaks off. */
export function* segmentsOf(bytes: Uint8Array): Generator<Segment> {
  const buffer = searchable(bytes)
  const countPart = partCounter()
  for (let at = 2; ; ) {
    const start = buffer.indexOf(0xff, at)
    let mark = start + 1
    while (start !== -1 && bytes[mark] === 0xff) mark++
    const marker = bytes[mark]
    if (start === -1 || marker === undefined) throw brokenImage('it ends before its end marker')
    const data = mark + 3
    if (marker === 0 || isAlone(marker)) {
      at = mark + 1
      continue
    }
    if (marker === END_OF_IMAGE) {
      yield { marker, start, data: mark + 1, end: mark + 1 }
      return
    }
    countPart()
    const end = mark + 1 + Math.max(2, big(bytes, mark + 1, 2))
    if (end > bytes.length) throw brokenImage('it ends inside a segment')
    yield { marker, start, data, end }
    at = marker === START_OF_SCAN ? scanEnd(buffer, end) : end
  }
}

/** Where the next marker stands: in a scan a plain 0xFF is followed by a zero. */
export function scanEnd(buffer: Buffer, from: number): number {
  for (let at = buffer.indexOf(0xff, from); at !== -1; at = buffer.indexOf(0xff, at + 1)) {
    const next = buffer[at + 1] ?? 0
    if (next !== 0 && next !== 0xff && !isAlone(next)) return at
  }
  throw brokenImage('it ends inside a scan')
}

/** As it is to be shown: on its side where its orientation says so. */
export function jpegSize(bytes: Uint8Array): Size {
  let size: Size | undefined
  let isTurned = false
  let scans = 0
  for (const segment of segmentsOf(bytes)) {
    const { marker, data } = segment
    if (isFrameHeader(marker)) size ??= { width: big(bytes, data + 3, 2), height: big(bytes, data + 1, 2), frames: 1 }
    if (marker === 0xe1 && has(bytes, data, EXIF)) isTurned = orientationOf(bytes, segment) >= 5
    if (marker === START_OF_SCAN) scans++
  }
  if (size === undefined || scans === 0) throw brokenImage('it has no frame')
  return isTurned ? { width: size.height, height: size.width, frames: 1 } : size
}

/** 1 to 8, of which 1 is upright (Exif 2.3, tag 0x0112). */
function orientationOf(bytes: Uint8Array, { data, end }: Segment): number {
  const tiff = bytes.subarray(data + EXIF.length, end)
  const read = has(tiff, 0, 'II') ? little : big
  const directory = read(tiff, 4, 4)
  const entries = Math.min(read(tiff, directory, 2), 1000)
  for (let entry = 0; entry < entries; entry++) {
    const at = directory + 2 + entry * 12
    if (at + 12 > tiff.length) break
    if (read(tiff, at, 2) !== 0x0112) continue
    const value = read(tiff, at + 8, 2)
    return value >= 1 && value <= 8 ? value : 1
  }
  return 1
}

/** Exif that says how the picture is to be turned, and nothing else. */
const orientedExif = (orientation: number): Uint8Array =>
  new Uint8Array([
    ...[0xff, 0xe1, 0, 34],
    ...Buffer.from(EXIF, 'latin1'),
    ...[0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1],
    ...[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0],
  ])

/**
 * The file without what describes its making: no Exif but the orientation, no XMP, IPTC, comments, previews, and nothing
 * behind its end. Views of the same bytes.
 */
export function strippedJpeg(bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = []
  let kept = 0
  for (const segment of segmentsOf(bytes)) {
    const replacement = replacementOf(bytes, segment)
    if (replacement !== undefined) {
      pieces.push(bytes.subarray(kept, segment.start), replacement)
      kept = segment.end
    } else if (segment.marker === END_OF_IMAGE) {
      pieces.push(bytes.subarray(kept, segment.end))
    }
  }
  return pieces
}

const NOTHING = new Uint8Array()

/** What stands in a segment's place; undefined where it stays. */
function replacementOf(bytes: Uint8Array, segment: Segment): Uint8Array | undefined {
  const { marker, data, end } = segment
  if (marker === 0xfe) return NOTHING
  if (marker < 0xe0 || marker > 0xef || marker === 0xee) return undefined
  if (marker === 0xe2) return has(bytes, data, ICC) ? undefined : NOTHING
  if (marker === 0xe0) return has(bytes, data, 'JFIF\0') ? withoutPreview(bytes, segment) : NOTHING
  if (marker !== 0xe1 || !has(bytes, data, EXIF)) return NOTHING
  const orientation = orientationOf(bytes, { ...segment, end })
  return orientation === 1 ? NOTHING : orientedExif(orientation)
}

function withoutPreview(bytes: Uint8Array, { data, end }: Segment): Uint8Array | undefined {
  if (end - data <= 14) return undefined
  return new Uint8Array([0xff, 0xe0, 0, 16, ...bytes.subarray(data, data + 12), 0, 0])
}

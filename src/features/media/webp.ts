import { brokenImage, has, little, partCounter, textAt } from './bytes.ts'
import type { Size } from './image.ts'

type Chunk = { type: string; start: number; data: number; end: number }

const KEPT = new Set(['VP8X', 'VP8 ', 'VP8L', 'ALPH', 'ANIM', 'ANMF', 'ICCP'])
const HAS_EXIF_OR_XMP = 0x0c

/** The chunks of the container. Throws `undecodable_image` where it says that there is more than there is. */
function* chunksOf(bytes: Uint8Array): Generator<Chunk> {
  const limit = 8 + little(bytes, 4, 4)
  if (limit > bytes.length) throw brokenImage('it is shorter than its header says')
  const countPart = partCounter()
  for (let at = 12; at + 8 <= limit; ) {
    countPart()
    const length = little(bytes, at + 4, 4)
    const dataEnd = at + 8 + length
    if (dataEnd > limit) throw brokenImage('it ends inside a chunk')
    const end = Math.min(dataEnd + (length % 2), limit)
    yield { type: textAt(bytes, at, 4), start: at, data: at + 8, end }
    at = end
  }
}

/** Width and height of a canvas, a lossy or a lossless frame; undefined for another chunk. */
function sizeIn(bytes: Uint8Array, { type, data, end }: Chunk): Omit<Size, 'frames'> | undefined {
  if (type === 'VP8X' && end - data >= 10) {
    return { width: little(bytes, data + 4, 3) + 1, height: little(bytes, data + 7, 3) + 1 }
  }
  if (type === 'VP8 ' && end - data >= 10 && has(bytes, data + 3, '\x9d\x01\x2a')) {
    return { width: little(bytes, data + 6, 2) & 0x3fff, height: little(bytes, data + 8, 2) & 0x3fff }
  }
  if (type === 'VP8L' && end - data >= 5 && bytes[data] === 0x2f) {
    const bits = little(bytes, data + 1, 4)
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
  }
  return undefined
}

export function webpSize(bytes: Uint8Array): Size {
  let size: Omit<Size, 'frames'> | undefined
  let moving = 0
  let still = 0
  for (const chunk of chunksOf(bytes)) {
    size ??= sizeIn(bytes, chunk)
    if (chunk.type === 'ANMF') moving++
    if (chunk.type === 'VP8 ' || chunk.type === 'VP8L') still++
  }
  if (size === undefined || moving + still === 0) throw brokenImage('it has no frame')
  return { ...size, frames: Math.max(1, moving) }
}

/** The file without Exif, XMP and chunks of no standard, and with a header that says so. */
export function strippedWebp(bytes: Uint8Array): Uint8Array[] {
  const kept: Uint8Array[] = []
  for (const { type, start, data, end } of chunksOf(bytes)) {
    if (!KEPT.has(type)) continue
    const piece = bytes.subarray(start, end)
    if (type !== 'VP8X') kept.push(piece)
    else {
      const header = piece.slice()
      header[data - start] = (header[data - start] ?? 0) & ~HAS_EXIF_OR_XMP
      kept.push(header)
    }
  }
  const length = kept.reduce((sum, piece) => sum + piece.length, 4)
  const head = bytes.slice(0, 12)
  new DataView(head.buffer).setUint32(4, length, true)
  return [head, ...kept]
}

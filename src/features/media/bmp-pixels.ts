import { type BmpHeader, bmpHeader } from './bmp.ts'
import { lumaOf, type Thumbnail, thumbnailOf } from './thumbnail.ts'

/** BMP without compression, but for 16 bits a pixel. */
export function bmpThumbnail(bytes: Uint8Array): Thumbnail | undefined {
  const header = bmpHeader(bytes)
  if (header === undefined || header.depth === 16) return undefined
  const hasMasks = header.compression === 3 && header.depth === 32
  if (header.compression !== 0 && !hasMasks) return undefined
  const { width, height, rowBytes, pixelsAt, isTopDown } = header
  const thumbnail = thumbnailOf(width, height)
  const lumaAt = header.depth >= 24 ? direct(bytes, header) : indexed(bytes, header)
  for (let y = 0; y < height; y += thumbnail.step.y) {
    const row = pixelsAt + (isTopDown ? y : height - 1 - y) * rowBytes
    for (let x = 0; x < width; x += thumbnail.step.x) thumbnail.add(x, y, lumaAt(row, x))
  }
  return thumbnail
}

type Reader = (row: number, x: number) => number

function direct(bytes: Uint8Array, { depth }: BmpHeader): Reader {
  const step = depth / 8
  return (row, x) => {
    const at = row + x * step
    return lumaOf(bytes[at + 2] ?? 0, bytes[at + 1] ?? 0, bytes[at] ?? 0)
  }
}

function indexed(bytes: Uint8Array, { depth, headerBytes }: BmpHeader): Reader {
  const colours = 14 + headerBytes
  const step = headerBytes === 12 ? 3 : 4
  return (row, x) => {
    const bit = x * depth
    const index = ((bytes[row + (bit >> 3)] ?? 0) >> (8 - depth - (bit & 7))) & (2 ** depth - 1)
    const at = colours + index * step
    return lumaOf(bytes[at + 2] ?? 0, bytes[at + 1] ?? 0, bytes[at] ?? 0)
  }
}

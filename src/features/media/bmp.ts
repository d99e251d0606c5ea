import { brokenImage, little } from './bytes.ts'
import type { Size } from './image.ts'

const HEADER_BYTES = new Set([12, 40, 52, 56, 64, 108, 124])
const DEPTHS = new Set([1, 4, 8, 16, 24, 32])
const UNCOMPRESSED = new Set([0, 3, 6])

export type BmpHeader = {
  width: number
  height: number
  isTopDown: boolean
  depth: number
  compression: number
  headerBytes: number
  pixelsAt: number
  rowBytes: number
}

/** Undefined where two letters are all that it has of a BMP. */
export function bmpHeader(bytes: Uint8Array): BmpHeader | undefined {
  const headerBytes = little(bytes, 14, 4)
  if (bytes.length < 26 || !HEADER_BYTES.has(headerBytes)) return undefined
  const isOld = headerBytes === 12
  if (!isOld && bytes.length < 54) return undefined
  const signedHeight = isOld ? little(bytes, 20, 2) : little(bytes, 22, 4) | 0
  const width = isOld ? little(bytes, 18, 2) : little(bytes, 18, 4) | 0
  const depth = little(bytes, isOld ? 24 : 28, 2)
  const compression = isOld ? 0 : little(bytes, 30, 4)
  const pixelsAt = little(bytes, 10, 4)
  const isSound = little(bytes, isOld ? 22 : 26, 2) === 1 && DEPTHS.has(depth) && compression <= 6
  if (!isSound || width <= 0 || signedHeight === 0 || pixelsAt < 14 + headerBytes) return undefined
  const rowBytes = Math.ceil((width * depth) / 32) * 4
  const height = Math.abs(signedHeight)
  return { width, height, isTopDown: signedHeight < 0, depth, compression, headerBytes, pixelsAt, rowBytes }
}

/** Undefined for what is no BMP. Throws `undecodable_image` when there are fewer pixels than it promises. */
export function bmpSize(bytes: Uint8Array): Size | undefined {
  const header = bmpHeader(bytes)
  if (header === undefined) return undefined
  const { width, height, compression, pixelsAt, rowBytes } = header
  const pixelBytes = UNCOMPRESSED.has(compression) ? rowBytes * height : Math.max(2, little(bytes, 34, 4))
  if (pixelsAt + pixelBytes > bytes.length) throw brokenImage('it ends before its last row')
  return { width, height, frames: 1 }
}

/** The file without what stands behind its pixels; only its last version keeps a colour profile there. */
export function strippedBmp(bytes: Uint8Array): Uint8Array[] {
  const header = bmpHeader(bytes)
  if (header === undefined || header.headerBytes === 124 || !UNCOMPRESSED.has(header.compression)) return [bytes]
  return [bytes.subarray(0, header.pixelsAt + header.rowBytes * header.height)]
}

import { inflateSync } from 'node:zlib'

/** Red, green and blue, 0 to 255, row by row. */
export type Pixels = { width: number; height: number; rgb: Uint8Array }

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
/** Samples of a pixel by PNG's colour type. */
const samplesOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }
const MOST_PIXELS = 20_000_000

type Header = { width: number; height: number; colour: number; samples: number }

function chunksOf(bytes: Buffer): { header: Header; palette: Buffer; data: Buffer } | undefined {
  const data: Buffer[] = []
  let header: Header | undefined
  let palette = Buffer.alloc(0)
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at)
    const name = bytes.toString('latin1', at + 4, at + 8)
    const body = bytes.subarray(at + 8, at + 8 + length)
    if (name === 'IHDR' && length >= 13) {
      const [depth, colour = 0, , , interlace] = body.subarray(8)
      const samples = samplesOf[colour]
      // Other depths and interlaced pictures are rare, and have a vector by their bytes.
      if (depth !== 8 || interlace !== 0 || samples === undefined) return undefined
      header = { width: body.readUInt32BE(0), height: body.readUInt32BE(4), colour, samples }
    }
    if (name === 'PLTE') palette = body
    if (name === 'IDAT') data.push(body)
    at += 12 + length
  }
  if (!header || header.width * header.height > MOST_PIXELS) return undefined
  return { header, palette, data: inflateSync(Buffer.concat(data)) }
}

function paeth(left: number, above: number, corner: number): number {
  const guess = left + above - corner
  const [toLeft, toAbove, toCorner] = [Math.abs(guess - left), Math.abs(guess - above), Math.abs(guess - corner)]
  if (toLeft <= toAbove && toLeft <= toCorner) return left
  return toAbove <= toCorner ? above : corner
}

/** Undoes the filters of the rows. */
function unfiltered({ width, height, samples }: Header, data: Buffer): Uint8Array {
  const stride = width * samples
  const out = new Uint8Array(stride * height)
  for (let row = 0; row < height; row += 1) {
    const filter = data[row * (stride + 1)] ?? 0
    for (let index = 0; index < stride; index += 1) {
      const at = row * stride + index
      const left = index >= samples ? (out[at - samples] ?? 0) : 0
      const above = row > 0 ? (out[at - stride] ?? 0) : 0
      const corner = row > 0 && index >= samples ? (out[at - stride - samples] ?? 0) : 0
      const add = [0, left, above, (left + above) >> 1, paeth(left, above, corner)][filter] ?? 0
      out[at] = (data[row * (stride + 1) + 1 + index] ?? 0) + add
    }
  }
  return out
}

/** The pixels of a PNG with 8 bits a sample; undefined for any other picture. */
export function pixelsOf(bytes: Buffer): Pixels | undefined {
  if (!bytes.subarray(0, 8).equals(signature)) return undefined
  try {
    const found = chunksOf(bytes)
    if (!found) return undefined
    const { header, palette } = found
    const raw = unfiltered(header, found.data)
    const rgb = new Uint8Array(header.width * header.height * 3)
    for (let pixel = 0; pixel < header.width * header.height; pixel += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        const isGrey = header.colour === 0 || header.colour === 4
        const sample = raw[pixel * header.samples + (isGrey || header.colour === 3 ? 0 : channel)] ?? 0
        rgb[pixel * 3 + channel] = header.colour === 3 ? (palette[sample * 3 + channel] ?? 0) : sample
      }
    }
    return { width: header.width, height: header.height, rgb }
  } catch {
    return undefined
  }
}

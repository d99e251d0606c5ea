import { bmpThumbnail } from './bmp-pixels.ts'
import { gifThumbnail } from './gif-pixels.ts'
import type { Image, ImageFormat } from './image.ts'
import { jpegThumbnail } from './jpeg-pixels.ts'
import { pngThumbnail } from './png-pixels.ts'
import { SIDE, type Thumbnail } from './thumbnail.ts'

const WAVES = 8
/** What is this much smaller than the strongest wave is noise, of which a copy has another. */
const NOISE = 0.01

const readers: Readonly<
  Partial<Record<ImageFormat, (bytes: Uint8Array) => Thumbnail | undefined | Promise<Thumbnail | undefined>>>
> = { jpeg: jpegThumbnail, png: pngThumbnail, gif: gifThumbnail, bmp: bmpThumbnail }

/**
 * 64 bits in 16 hex digits that are nearly the same for nearly the same picture: which of its 64 longest waves are
 * stronger than the middle one. Undefined where the pixels cannot be read here: WebP, interlaced PNG, JPEG in a rare
 * coding, damaged data.
 */
export async function perceptualHash(
  bytes: Uint8Array,
  { format }: Pick<Image, 'format'>,
): Promise<string | undefined> {
  const thumbnail = await thumbnailIn(bytes, format)
  return thumbnail && hashOf(thumbnail.pixels())
}

async function thumbnailIn(bytes: Uint8Array, format: ImageFormat): Promise<Thumbnail | undefined> {
  try {
    return await readers[format]?.(bytes)
  } catch {
    return undefined
  }
}

/** cos((2x + 1)uπ / 64) for each wave and place. */
const COSINES = Float64Array.from({ length: WAVES * SIDE }, (_none, index) => {
  const [wave, place] = [Math.floor(index / SIDE), index % SIDE]
  return Math.cos(((2 * place + 1) * wave * Math.PI) / (2 * SIDE))
})

function wavesOf(pixels: Float32Array): Float64Array {
  const across = new Float64Array(SIDE * WAVES)
  const waves = new Float64Array(WAVES * WAVES)
  for (let y = 0; y < SIDE; y++) {
    for (let u = 0; u < WAVES; u++) {
      let sum = 0
      for (let x = 0; x < SIDE; x++) sum += (pixels[y * SIDE + x] ?? 0) * (COSINES[u * SIDE + x] ?? 0)
      across[y * WAVES + u] = sum
    }
  }
  for (let v = 0; v < WAVES; v++) {
    for (let u = 0; u < WAVES; u++) {
      let sum = 0
      for (let y = 0; y < SIDE; y++) sum += (across[y * WAVES + u] ?? 0) * (COSINES[v * SIDE + y] ?? 0)
      waves[v * WAVES + u] = sum
    }
  }
  return waves
}

function hashOf(pixels: Float32Array): string {
  const waves = wavesOf(pixels)
  // The mean brightness is no wave.
  waves[0] = 0
  const strongest = waves.reduce((most, wave) => Math.max(most, Math.abs(wave)), 0)
  const middle = [...waves].sort((left, right) => left - right)[(WAVES * WAVES) / 2] ?? 0
  let hash = ''
  for (let at = 0; at < waves.length; at += 4) {
    const digit = waves
      .subarray(at, at + 4)
      .reduce((sum, wave) => sum * 2 + (wave > middle + strongest * NOISE ? 1 : 0), 0)
    hash += digit.toString(16)
  }
  return hash
}

/** How many of 64 bits differ. Up to 4 are nearly the same picture, more than 10 another one. */
export function hammingDistance(left: string, right: string): number {
  let distance = 0
  for (let at = 0; at < 16; at++) {
    let differing = Number.parseInt(left.charAt(at), 16) ^ Number.parseInt(right.charAt(at), 16)
    for (; differing > 0; differing >>= 1) distance += differing & 1
  }
  return distance
}

import { AppError } from '../../core/errors.ts'
import { bmpSize, strippedBmp } from './bmp.ts'
import { brokenImage, has } from './bytes.ts'
import { gifSize, strippedGif } from './gif.ts'
import { jpegSize, strippedJpeg } from './jpeg.ts'
import { pngSize, strippedPng } from './png.ts'
import { strippedWebp, webpSize } from './webp.ts'

export type ImageFormat = 'jpeg' | 'png' | 'gif' | 'webp' | 'bmp'

/** Pixels as they are shown. */
export type Size = { width: number; height: number; frames: number }
export type Image = Size & { format: ImageFormat; mime: string }

/** What more would take in memory, no model is given. */
export const MAX_MEGAPIXELS = 50

type Kind = {
  isOne: (bytes: Uint8Array) => boolean
  size: (bytes: Uint8Array) => Size | undefined
  stripped: (bytes: Uint8Array) => Uint8Array[]
}

const kinds: Readonly<Record<ImageFormat, Kind>> = {
  jpeg: { isOne: (bytes) => has(bytes, 0, '\xff\xd8\xff'), size: jpegSize, stripped: strippedJpeg },
  png: { isOne: (bytes) => has(bytes, 0, '\x89PNG\r\n\x1a\n'), size: pngSize, stripped: strippedPng },
  gif: {
    isOne: (bytes) => has(bytes, 0, 'GIF87a') || has(bytes, 0, 'GIF89a'),
    size: gifSize,
    stripped: strippedGif,
  },
  webp: { isOne: (bytes) => has(bytes, 0, 'RIFF') && has(bytes, 8, 'WEBP'), size: webpSize, stripped: strippedWebp },
  bmp: { isOne: (bytes) => has(bytes, 0, 'BM'), size: bmpSize, stripped: strippedBmp },
}

export const imageFormats: readonly ImageFormat[] = ['jpeg', 'png', 'gif', 'webp', 'bmp']

/**
 * What picture this is, by its first bytes and its headers; nothing is decoded. Undefined when it is none of the five
 * kinds. Throws 422 `undecodable_image` for one that is broken or cut off, `too_long` beyond 50 megapixels.
 */
export function imageOf(bytes: Uint8Array): Image | undefined {
  const format = imageFormats.find((name) => kinds[name].isOne(bytes))
  const size = format && kinds[format].size(bytes)
  if (format === undefined || size === undefined) return undefined
  if (size.width === 0 || size.height === 0) throw brokenImage('it has no width or no height')
  const megapixels = (size.width * size.height) / 1_000_000
  if (megapixels > MAX_MEGAPIXELS) {
    const has = `${size.width} × ${size.height} pixels, ${Math.ceil(megapixels)} megapixels`
    throw new AppError('too_long', `A picture may have ${MAX_MEGAPIXELS} megapixels; this one has ${has}.`)
  }
  return { format, mime: `image/${format}`, ...size }
}

/**
 * The file without what tells of its making: Exif, GPS, texts, comments, previews, anything behind its end. The pixels
 * stay as they are, and so does a JPEG's orientation. In pieces, most of them views of the same bytes, so that a large
 * picture is not held twice. Throws `undecodable_image` like `imageOf`.
 */
export const strippedPieces = (bytes: Uint8Array, format: ImageFormat): Uint8Array[] => kinds[format].stripped(bytes)

/** The same in one piece: the given bytes themselves where there was nothing to take away. */
export function strippedImage(bytes: Uint8Array, format: ImageFormat): Uint8Array {
  const pieces = strippedPieces(bytes, format)
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const isWhole = length === bytes.length && pieces.every((piece) => piece.buffer === bytes.buffer)
  return isWhole ? bytes : new Uint8Array(Buffer.concat(pieces, length))
}

/** Bytes of a large picture that are encoded in one go. */
const ENCODED_AT_ONCE = 3 * 1024 * 1024

/** The stripped picture as a `data:` URL. Beside the given bytes it takes their length by four thirds. */
export function dataUrlOf(bytes: Uint8Array, { format, mime }: Pick<Image, 'format' | 'mime'>): string {
  let url = `data:${mime};base64,`
  let rest = Buffer.alloc(0)
  for (const piece of strippedPieces(bytes, format)) {
    for (let at = 0; at < piece.length; at += ENCODED_AT_ONCE) {
      const chunk = Buffer.concat([rest, piece.subarray(at, at + ENCODED_AT_ONCE)])
      const whole = chunk.length - (chunk.length % 3)
      url += chunk.toString('base64', 0, whole)
      rest = chunk.subarray(whole)
    }
  }
  return url + rest.toString('base64')
}

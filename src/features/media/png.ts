import { big, brokenImage, has, partCounter, textAt } from './bytes.ts'
import type { Size } from './image.ts'

export type PngChunk = { type: string; start: number; data: number; end: number }

/** Of what a decoder may skip, what changes the pixels that are seen. All else is about the picture, not of it. */
const KEPT = new Set(['tRNS', 'gAMA', 'cHRM', 'sRGB', 'iCCP', 'cICP', 'sBIT', 'bKGD', 'pHYs', 'acTL', 'fcTL', 'fdAT'])

/** Bits a sample by colour type. */
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
}

/** Every chunk up to IEND. Throws `undecodable_image` where the file breaks off. */
export function* chunksOf(bytes: Uint8Array): Generator<PngChunk> {
  const countPart = partCounter()
  for (let at = 8; ; ) {
    countPart()
    const length = big(bytes, at, 4)
    const end = at + 12 + length
    if (end > bytes.length) throw brokenImage('it ends inside a chunk')
    const type = textAt(bytes, at + 4, 4)
    if (!/^[A-Za-z]{4}$/.test(type)) throw brokenImage('a chunk has no name')
    yield { type, start: at, data: at + 8, end }
    if (type === 'IEND') return
    at = end
  }
}

export type PngHeader = { width: number; height: number; depth: number; colour: number; isInterlaced: boolean }

export function pngHeader(bytes: Uint8Array): PngHeader {
  if (bytes.length < 33 || !has(bytes, 8, '\0\0\0\x0dIHDR')) throw brokenImage('it has no header')
  if (crc32(bytes.subarray(12, 29)) !== big(bytes, 29, 4)) throw brokenImage('its header is damaged')
  const [depth = 0, colour = 0, compression, filter, interlace = 2] = bytes.subarray(24, 29)
  const isKnown = DEPTHS[colour]?.includes(depth) && compression === 0 && filter === 0 && interlace < 2
  if (!isKnown) throw brokenImage('its header is of no PNG')
  return { width: big(bytes, 16, 4), height: big(bytes, 20, 4), depth, colour, isInterlaced: interlace === 1 }
}

export function pngSize(bytes: Uint8Array): Size {
  const { width, height } = pngHeader(bytes)
  let frames = 1
  let hasPixels = false
  for (const { type, data } of chunksOf(bytes)) {
    if (type === 'IDAT') hasPixels = true
    if (type === 'acTL') frames = Math.max(1, big(bytes, data, 4))
  }
  if (!hasPixels) throw brokenImage('it has no pixels')
  return { width, height, frames }
}

/** The file without texts, times, Exif and what stands behind its end. Views of the same bytes. */
export function strippedPng(bytes: Uint8Array): Uint8Array[] {
  const pieces = [bytes.subarray(0, 8)]
  for (const { type, start, end } of chunksOf(bytes)) {
    const isCritical = type.charCodeAt(0) < 97
    if (isCritical || KEPT.has(type)) pieces.push(bytes.subarray(start, end))
  }
  return pieces
}

let table: Uint32Array | undefined

/** As PNG and zlib count it (ISO 3309). */
export function crc32(bytes: Uint8Array): number {
  table ??= Uint32Array.from({ length: 256 }, (_none, byte) => {
    let value = byte
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
    return value
  })
  let sum = 0xffffffff
  for (const byte of bytes) sum = (sum >>> 8) ^ (table[(sum ^ byte) & 255] ?? 0)
  return (sum ^ 0xffffffff) >>> 0
}

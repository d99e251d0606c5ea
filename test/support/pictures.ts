import { deflateSync } from 'node:zlib'
import { crc32 } from '../../src/features/media/png.ts'

/** Red, green and blue of a place between 0 and 1. */
type Picture = (x: number, y: number) => readonly [number, number, number]

const disc = (x: number, y: number, [cx, cy, r]: readonly [number, number, number]) => Math.hypot(x - cx, y - cy) < r

/** Pictures that no two people would take for the same. */
export const pictures = {
  sunset: (x, y) => (disc(x, y, [0.7, 0.35, 0.15]) ? [255, 240, 120] : [220 - 120 * y, 120 - 80 * y, 90 + 60 * x]),
  house: (x, y) => {
    if (y > 0.45 && y < 0.9 && x > 0.2 && x < 0.6) return x > 0.3 && x < 0.4 && y > 0.6 ? [60, 30, 10] : [200, 60, 50]
    return y > 0.8 ? [40, 130, 40] : [150, 190, 240]
  },
  stripes: (x, y) => (Math.sin(x * 17 + y * 5) > 0 ? [240, 240, 240] : [20, 20, 80]),
  rings: (x, y) => {
    const value = 128 + 120 * Math.sin(Math.hypot(x - 0.4, y - 0.6) * 30)
    return [value, value * 0.6, 255 - value]
  },
} satisfies Record<string, Picture>

export type PictureName = keyof typeof pictures
export const pictureNames = Object.keys(pictures) as PictureName[]

/** Three bytes a pixel, from the top. */
export function pixelsOf(name: PictureName, width: number, height = width): Uint8Array {
  const pixels = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      pixels.set(pictures[name]((x + 0.5) / width, (y + 0.5) / height).map(Math.round), (y * width + x) * 3)
    }
  }
  return pixels
}

const joined = (...pieces: (Uint8Array | string | number[])[]) =>
  new Uint8Array(
    Buffer.concat(
      pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : Buffer.from(piece))),
    ),
  )

const four = (value: number) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]

/** A chunk of a PNG with its sum. */
export function pngChunk(type: string, data: Uint8Array | string): Uint8Array {
  const named = joined(type, data)
  return joined(four(named.length - 4), named, four(crc32(named)))
}

type PngForm = {
  colour?: 0 | 2 | 3 | 4 | 6
  depth?: 8 | 16
  interlaced?: boolean
  filter?: 0 | 1 | 2 | 3 | 4
  between?: Uint8Array[]
}

/** A PNG of true-colour pixels, in another form where one is given. */
export function pngOf(pixels: Uint8Array, width: number, form: PngForm = {}): Uint8Array {
  const { colour = 2, depth = 8, interlaced = false, filter = 0, between = [] } = form
  const height = pixels.length / 3 / width
  const channels = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[colour]
  const rowBytes = (width * channels * depth) / 8
  const rows = new Uint8Array(height * rowBytes)
  const palette: number[] = []
  const indexes = new Map<number, number>()
  const samplesOf = (at: number): number[] => {
    const [r = 0, g = 0, b = 0] = pixels.subarray(at, at + 3)
    const grey = Math.round(0.299 * r + 0.587 * g + 0.114 * b)
    if (colour === 3) {
      const key = (r >> 6) * 16 + (g >> 6) * 4 + (b >> 6)
      const index = indexes.get(key) ?? indexes.size
      if (!indexes.has(key)) palette.push(r, g, b)
      indexes.set(key, index)
      return [index]
    }
    return { 0: [grey], 2: [r, g, b], 4: [grey, 255], 6: [r, g, b, 255] }[colour]
  }
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (const [channel, value] of samplesOf(pixel * 3).entries()) {
      rows[((pixel * channels + channel) * depth) / 8] = value
    }
  }
  const lines: Uint8Array[] = []
  for (let y = 0; y < height; y++) lines.push(filtered(rows, y, { rowBytes, step: (channels * depth) / 8, filter }))
  const header = joined(four(width), four(height), [depth, colour, 0, 0, interlaced ? 1 : 0])
  return joined(
    [0x89],
    'PNG\r\n\x1a\n',
    pngChunk('IHDR', header),
    ...(colour === 3 ? [pngChunk('PLTE', new Uint8Array(palette))] : []),
    ...between,
    pngChunk('IDAT', new Uint8Array(deflateSync(joined(...lines)))),
    pngChunk('IEND', ''),
  )
}

type Line = { rowBytes: number; step: number; filter: number }

/** A row as PNG writes it: less what its neighbours foretell. */
function filtered(rows: Uint8Array, y: number, { rowBytes, step, filter }: Line): Uint8Array {
  const line = new Uint8Array(rowBytes + 1)
  line[0] = filter
  const at = (row: number, index: number) => (row < 0 || index < 0 ? 0 : (rows[row * rowBytes + index] ?? 0))
  for (let index = 0; index < rowBytes; index++) {
    const [left, up, corner] = [at(y, index - step), at(y - 1, index), at(y - 1, index - step)]
    const foretold = [0, left, up, (left + up) >> 1, nearest(left, up, corner)][filter] ?? 0
    line[index + 1] = at(y, index) - foretold
  }
  return line
}

function nearest(left: number, up: number, corner: number): number {
  const guess = left + up - corner
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)]
  if (a <= b && a <= c) return left
  return b <= c ? up : corner
}

/** An uncompressed BMP of 24 bits, upside down as most are unless it says otherwise. */
export function bmpOf(pixels: Uint8Array, width: number, isTopDown = false): Uint8Array {
  const height = pixels.length / 3 / width
  const rowBytes = Math.ceil((width * 3) / 4) * 4
  const file = new Uint8Array(54 + rowBytes * height)
  const view = new DataView(file.buffer)
  file.set([66, 77])
  for (const [at, value] of [
    [2, file.length],
    [10, 54],
    [14, 40],
    [18, width],
    [22, isTopDown ? -height : height],
    [26, 1 | (24 << 16)],
  ] as const) {
    view.setInt32(at, value, true)
  }
  for (let y = 0; y < height; y++) {
    const row = 54 + (isTopDown ? y : height - 1 - y) * rowBytes
    for (let x = 0; x < width; x++) {
      const [r = 0, g = 0, b = 0] = pixels.subarray((y * width + x) * 3)
      file.set([b, g, r], row + x * 3)
    }
  }
  return file
}

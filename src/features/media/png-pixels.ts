import { chunksOf, type PngHeader, pngHeader } from './png.ts'
import { lumaOf, type Thumbnail, thumbnailOf } from './thumbnail.ts'

const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }
const WHITE = 255
/** 50 megapixels in true colour with transparency: more takes seconds. */
const MAX_UNPACKED_BYTES = 200_000_000

type Colours = { palette: Uint8Array; alpha: Uint8Array }

/** A PNG row by row, two rows in memory at most. Undefined for interlaced ones and where the pixels do not unpack. */
export async function pngThumbnail(bytes: Uint8Array): Promise<Thumbnail | undefined> {
  const header = pngHeader(bytes)
  const unpackedBytes = (header.width * header.height * (CHANNELS[header.colour] ?? 1) * header.depth) / 8
  if (header.isInterlaced || unpackedBytes > MAX_UNPACKED_BYTES) return undefined
  const packed: Uint8Array[] = []
  const colours: Colours = { palette: new Uint8Array(), alpha: new Uint8Array() }
  for (const { type, data, end } of chunksOf(bytes)) {
    const content = bytes.subarray(data, end - 4)
    if (type === 'IDAT') packed.push(content)
    if (type === 'PLTE') colours.palette = content
    if (type === 'tRNS') colours.alpha = content
  }
  const thumbnail = thumbnailOf(header.width, header.height)
  let y = 0
  for await (const row of rowsOf(packed, header)) {
    if (y % thumbnail.step.y === 0) addRow(thumbnail, row, { y, header, colours })
    y++
  }
  return y === header.height ? thumbnail : undefined
}

/** The unfiltered rows of an image; the array is the same each time. Ends early where the data do. */
async function* rowsOf(packed: readonly Uint8Array[], header: PngHeader): AsyncGenerator<Uint8Array> {
  const { width, height, depth, colour } = header
  const bits = (CHANNELS[colour] ?? 1) * depth
  const step = Math.max(1, bits >> 3)
  const line = new Uint8Array(1 + Math.ceil((width * bits) / 8))
  const row = line.subarray(1)
  const above = new Uint8Array(row.length)
  let [filled, rows] = [0, 0]
  for await (const chunk of unpacked(packed)) {
    for (let at = 0; at < chunk.length && rows < height; ) {
      const taken = Math.min(line.length - filled, chunk.length - at)
      line.set(chunk.subarray(at, at + taken), filled)
      filled += taken
      at += taken
      if (filled < line.length) continue
      unfilter(row, above, { filter: line[0] ?? 0, step })
      yield row
      above.set(row)
      filled = 0
      rows++
    }
    if (rows === height) return
  }
}

async function* unpacked(packed: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  const source = packed.values()
  const stream = new ReadableStream<BufferSource>({
    pull(controller) {
      const { done, value } = source.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
  })
  const reader = stream.pipeThrough(new DecompressionStream('deflate')).getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    // Whoever has seen enough does not wait for the rest; what is broken behind it does not matter.
    reader.cancel().catch(() => undefined)
  }
}

type Filter = { filter: number; step: number }

/** Adds to a row what its neighbours foretold (RFC 2083, 6). */
function unfilter(row: Uint8Array, above: Uint8Array, { filter, step }: Filter): void {
  if (filter === 0) return
  for (let at = 0; at < row.length; at++) {
    const left = at < step ? 0 : (row[at - step] ?? 0)
    const up = above[at] ?? 0
    const value = row[at] ?? 0
    if (filter === 1) row[at] = value + left
    else if (filter === 2) row[at] = value + up
    else if (filter === 3) row[at] = value + ((left + up) >> 1)
    else row[at] = value + nearest(left, up, at < step ? 0 : (above[at - step] ?? 0))
  }
}

function nearest(left: number, up: number, corner: number): number {
  const guess = left + up - corner
  const [fromLeft, fromUp, fromCorner] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)]
  if (fromLeft <= fromUp && fromLeft <= fromCorner) return left
  return fromUp <= fromCorner ? up : corner
}

type Row = { y: number; header: PngHeader; colours: Colours }

function addRow(thumbnail: Thumbnail, row: Uint8Array, { y, header, colours }: Row): void {
  const { width, depth, colour } = header
  const channels = CHANNELS[colour] ?? 1
  const mask = 2 ** Math.min(depth, 8) - 1
  // Of two bytes the first is enough.
  const sample = (index: number) => {
    if (depth >= 8) return row[(index * depth) >> 3] ?? 0
    return ((row[(index * depth) >> 3] ?? 0) >> (8 - depth - ((index * depth) & 7))) & mask
  }
  for (let x = 0; x < width; x += thumbnail.step.x) {
    const at = x * channels
    const first = sample(at)
    let luma = (first * 255) / mask
    let alpha = 255
    if (colour === 3) {
      const [red = 0, green = 0, blue = 0] = colours.palette.subarray(first * 3, first * 3 + 3)
      luma = lumaOf(red, green, blue)
      alpha = colours.alpha[first] ?? 255
    } else if (channels >= 3) luma = lumaOf(first, sample(at + 1), sample(at + 2))
    if (channels === 2 || channels === 4) alpha = sample(at + channels - 1)
    thumbnail.add(x, y, (luma * alpha + WHITE * (255 - alpha)) / 255)
  }
}

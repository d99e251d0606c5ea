import { little } from './bytes.ts'
import { blocksOf, pixelsStart } from './gif.ts'
import { MAX_MEGAPIXELS } from './image.ts'
import { lumaOf, type Thumbnail, thumbnailOf } from './thumbnail.ts'

const MAX_CODES = 4096
const WHITE = 255
/** Where the rows of an interlaced frame begin, and how far apart they are. */
const PASSES = [
  [0, 8],
  [4, 8],
  [2, 4],
  [1, 2],
] as const

/** The first frame, by itself. */
export function gifThumbnail(bytes: Uint8Array): Thumbnail | undefined {
  let transparent = -1
  for (const { kind, start } of blocksOf(bytes)) {
    if (kind === 'control' && (bytes[start + 3] ?? 0) & 1) transparent = bytes[start + 6] ?? -1
    if (kind === 'image') return frameThumbnail(bytes, start, transparent)
  }
  return undefined
}

function frameThumbnail(bytes: Uint8Array, start: number, transparent: number): Thumbnail | undefined {
  const [width, height] = [little(bytes, start + 5, 2), little(bytes, start + 7, 2)]
  const flags = bytes[start + 9] ?? 0
  // A frame may be larger than the screen that it is shown on.
  if (width === 0 || height === 0 || width * height > MAX_MEGAPIXELS * 1_000_000) return undefined
  const colours = flags & 0x80 ? start + 10 : 13
  const lumas = Float32Array.from({ length: 256 }, (_none, index) => {
    const at = colours + index * 3
    return index === transparent ? WHITE : lumaOf(bytes[at] ?? 0, bytes[at + 1] ?? 0, bytes[at + 2] ?? 0)
  })
  const thumbnail = thumbnailOf(width, height)
  const { step } = thumbnail
  const rows = rowOrder(height, (flags & 0x40) !== 0)
  let y = rows.next().value
  let x = 0
  for (const run of runsOf(bytes, pixelsStart(bytes, start))) {
    for (let at = 0; at < run.length && y !== undefined; at++) {
      if (x % step.x === 0 && y % step.y === 0) thumbnail.add(x, y, lumas[run[at] ?? 0] ?? 0)
      if (++x < width) continue
      x = 0
      y = rows.next().value
    }
    if (y === undefined) return thumbnail
  }
  return undefined
}

function* rowOrder(height: number, isInterlaced: boolean): Generator<number, undefined> {
  for (const [first, step] of isInterlaced ? PASSES : [[0, 1] as const]) {
    for (let y = first; y < height; y += step) yield y
  }
  return undefined
}

/** Runs of colour indexes, packed by LZW (GIF89a, appendix F). Each is a view that the next one overwrites. */
function* runsOf(bytes: Uint8Array, at: number): Generator<Uint8Array> {
  const minBits = bytes[at] ?? 0
  if (minBits < 2 || minBits > 8) return
  const clear = 2 ** minBits
  const before = new Uint16Array(MAX_CODES)
  const last = new Uint8Array(MAX_CODES)
  const run = new Uint8Array(MAX_CODES)
  let [bits, next, previous] = [minBits + 1, clear + 2, -1]
  /** Writes what a code stands for to the end of the run; gives back its beginning. */
  const unfold = (code: number): number => {
    let [start, rest] = [MAX_CODES, code]
    for (; rest >= clear && start > 1; rest = before[rest] ?? 0) run[--start] = last[rest] ?? 0
    run[--start] = rest
    return start
  }
  for (const code of codesOf(bytes, at + 1, () => bits)) {
    if (code === clear) {
      ;[bits, next, previous] = [minBits + 1, clear + 2, -1]
      continue
    }
    if (code === clear + 1 || code > next || (previous === -1 && code >= clear)) return
    const isNew = code === next
    let start = unfold(isNew ? previous : code)
    const first = run[start] ?? 0
    if (isNew) {
      // The run just read, and its own first colour again.
      run.copyWithin(start - 1, start)
      run[MAX_CODES - 1] = first
      start -= 1
    }
    if (previous !== -1 && next < MAX_CODES) {
      before[next] = previous
      last[next] = first
      next += 1
      if (next === 2 ** bits && bits < 12) bits += 1
    }
    previous = code
    yield run.subarray(start)
  }
}

function* codesOf(bytes: Uint8Array, from: number, width: () => number): Generator<number> {
  let [value, filled] = [0, 0]
  for (let at = from; ; ) {
    const length = bytes[at] ?? 0
    if (length === 0) return
    for (const byte of bytes.subarray(at + 1, at + 1 + length)) {
      value |= byte << filled
      filled += 8
      while (filled >= width()) {
        const bits = width()
        yield value & (2 ** bits - 1)
        value >>>= bits
        filled -= bits
      }
    }
    at += length + 1
  }
}

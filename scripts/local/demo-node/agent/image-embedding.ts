import { embedText, normalise } from '../embedding.ts'
import { type Pixels, pixelsOf } from './pixels.ts'

export const IMAGE_DIMENSIONS = 512
const GRID = 4

const colours: Readonly<Record<string, readonly [number, number, number]>> = {
  red: [220, 30, 30],
  green: [30, 160, 40],
  blue: [30, 60, 220],
  yellow: [240, 220, 40],
  orange: [240, 140, 20],
  purple: [130, 40, 170],
  pink: [250, 150, 190],
  brown: [120, 75, 35],
  black: [10, 10, 10],
  white: [245, 245, 245],
  gray: [128, 128, 128],
}
/** How fast a colour's share falls with its distance. */
const COLOUR_WIDTH = 60

/** How much of the picture has each of the named colours, softly, so that small changes change little. */
function colourShares({ width, height, rgb }: Pixels): Map<string, number> {
  const shares = new Map<string, number>()
  const step = Math.max(1, Math.floor((width * height) / 4096))
  let count = 0
  for (let pixel = 0; pixel < width * height; pixel += step) {
    count += 1
    for (const [name, colour] of Object.entries(colours)) {
      const distance = Math.hypot(...colour.map((value, channel) => value - (rgb[pixel * 3 + channel] ?? 0)))
      shares.set(name, (shares.get(name) ?? 0) + Math.exp(-((distance / COLOUR_WIDTH) ** 2)))
    }
  }
  return new Map([...shares].map(([name, sum]) => [name, sum / count]))
}

/** Mean brightness of the cells of a grid, 0 to 1. */
function cellsOf({ width, height, rgb }: Pixels): number[] {
  const sums = new Array<number>(GRID * GRID).fill(0)
  const counts = new Array<number>(GRID * GRID).fill(0)
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const cell = Math.floor((row * GRID) / height) * GRID + Math.floor((column * GRID) / width)
      const at = (row * width + column) * 3
      const light = ((rgb[at] ?? 0) + (rgb[at + 1] ?? 0) + (rgb[at + 2] ?? 0)) / 765
      sums[cell] = (sums[cell] ?? 0) + light
      counts[cell] = (counts[cell] ?? 0) + 1
    }
  }
  return sums.map((sum, cell) => sum / Math.max(1, counts[cell] ?? 1))
}

const CELL_WEIGHT = 0.25
const BYTE_BINS = 64

/** Of what cannot be decoded here: how often each kind of byte is there. */
function byteShares(bytes: Buffer): Map<string, number> {
  const shares = new Map<string, number>()
  for (const byte of bytes) {
    const bin = `bytes-${Math.floor((byte * BYTE_BINS) / 256)}`
    shares.set(bin, (shares.get(bin) ?? 0) + BYTE_BINS / bytes.length)
  }
  return shares
}

function weighted(features: Iterable<readonly [string, number]>): number[] {
  const sums = new Float64Array(IMAGE_DIMENSIONS)
  for (const [feature, weight] of features) {
    for (const [index, value] of directionOf(feature).entries()) sums[index] = (sums[index] ?? 0) + weight * value
  }
  return normalise(sums)
}

const directions = new Map<string, number[]>()

function directionOf(feature: string): number[] {
  const known = directions.get(feature)
  if (known) return known
  const made = embedText(feature, IMAGE_DIMENSIONS)
  directions.set(feature, made)
  return made
}

/**
 * A unit vector by colours and brightness: the same bytes give the same vector, near copies a near one, and a text that
 * names a colour is near pictures of that colour.
 */
export function embedImage(bytes: Buffer): number[] {
  const pixels = pixelsOf(bytes)
  if (!pixels) return weighted(byteShares(bytes))
  const cells = cellsOf(pixels)
  return weighted([
    ...colourShares(pixels),
    ...cells.map((light, cell): [string, number] => [`cell ${cell}`, CELL_WEIGHT * (light - 0.5)]),
  ])
}

/** The words of a text in the space of the pictures. */
export const embedWords = (text: string): number[] => embedText(text, IMAGE_DIMENSIONS)

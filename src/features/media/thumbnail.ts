export const SIDE = 32
/** Of a picture that is much larger, every so many pixels are enough. */
const SAMPLES_PER_SIDE = 256

export type Thumbnail = {
  /** The share of rows and columns that are wanted: one in so many. */
  step: { x: number; y: number }
  add: (x: number, y: number, luma: number) => void
  /** 32 × 32 luma values, row by row. */
  pixels: () => Float32Array
}

/** As bright as the eye sees it (ITU-R BT.601), 0 to 255. */
export const lumaOf = (red: number, green: number, blue: number) => 0.299 * red + 0.587 * green + 0.114 * blue

/** Into which cell a pixel falls, and how much of it into the next. */
function cellOf(at: number, cells: number, size: number): { cell: number; over: number } {
  const start = (at * cells) / size
  const cell = Math.floor(start)
  const over = (at + 1) * cells - (cell + 1) * size
  return { cell, over: over > 0 ? over / cells : 0 }
}

/** A small grey copy of a picture, made from its pixels in any order, none of which is kept. */
export function thumbnailOf(width: number, height: number): Thumbnail {
  const [columns, rows] = [Math.min(width, SIDE), Math.min(height, SIDE)]
  const sums = new Float64Array(columns * rows)
  const weights = new Float64Array(columns * rows)
  const put = (cell: number, luma: number, weight: number) => {
    sums[cell] = (sums[cell] ?? 0) + luma * weight
    weights[cell] = (weights[cell] ?? 0) + weight
  }
  return {
    step: { x: Math.ceil(width / SAMPLES_PER_SIDE), y: Math.ceil(height / SAMPLES_PER_SIDE) },
    add: (x, y, luma) => {
      const [{ cell: column, over: right }, { cell: row, over: down }] = [
        cellOf(x, columns, width),
        cellOf(y, rows, height),
      ]
      const cell = row * columns + column
      put(cell, luma, (1 - right) * (1 - down))
      if (right > 0) put(cell + 1, luma, right * (1 - down))
      if (down > 0) put(cell + columns, luma, (1 - right) * down)
      if (right > 0 && down > 0) put(cell + columns + 1, luma, right * down)
    },
    pixels: () =>
      stretched(
        Float32Array.from(sums, (sum, cell) => sum / (weights[cell] || 1)),
        columns,
        rows,
      ),
  }
}

/** To the full side, between the nearest values. */
function stretched(cells: Float32Array, columns: number, rows: number): Float32Array {
  if (columns === SIDE && rows === SIDE) return cells
  const at = (x: number, y: number) => cells[Math.min(y, rows - 1) * columns + Math.min(x, columns - 1)] ?? 0
  return Float32Array.from({ length: SIDE * SIDE }, (_none, index) => {
    const x = Math.max(0, (((index % SIDE) + 0.5) * columns) / SIDE - 0.5)
    const y = Math.max(0, ((Math.floor(index / SIDE) + 0.5) * rows) / SIDE - 0.5)
    const [left, top] = [Math.floor(x), Math.floor(y)]
    const [right, down] = [x - left, y - top]
    const upper = at(left, top) * (1 - right) + at(left + 1, top) * right
    const lower = at(left, top + 1) * (1 - right) + at(left + 1, top + 1) * right
    return upper * (1 - down) + lower * down
  })
}

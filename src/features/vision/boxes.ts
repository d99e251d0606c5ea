import type { Image } from '../media/service.ts'

/** A place in a picture, in shares of its width and height: 0 to 1. */
export type Box = { x: number; y: number; width: number; height: number }

/** Two corners, as models tell them. */
export type Corners = { x1: number; y1: number; x2: number; y2: number }

/** In what a model counts: shares of the picture, thousandths of it, or its pixels. */
export type BoxUnit = 'shares' | 'thousandths' | 'pixels'

type Size = Pick<Image, 'width' | 'height'>

/** What models were trained to tell boxes in; every other is asked for shares. */
const trained: readonly (readonly [RegExp, BoxUnit])[] = [
  [/qwen-?2\.5-?vl/i, 'pixels'],
  [/qwen[\w.]*-?vl|gemma-?[3-9]|paligemma|internvl|minicpm-v|glm-?4[\w.]*v/i, 'thousandths'],
]

/** What a model is asked to tell boxes in, by its name. */
export const boxUnitOf = (model: string): BoxUnit => trained.find(([pattern]) => pattern.test(model))?.[1] ?? 'shares'

export const unitInWords: Readonly<Record<BoxUnit, string>> = {
  shares: 'as fractions of the width and the height of the image, from 0 to 1',
  thousandths: 'as integers from 0 to 1000, where 1000 is the whole width or height of the image',
  pixels: 'in pixels of the image',
}

/**
 * What these corners were told in, all boxes of an answer together: models do not always keep to what they were asked
 * for, and numbers give that away.
 */
export function toldUnit(corners: readonly Corners[], asked: BoxUnit, { width, height }: Size): BoxUnit {
  const right = Math.max(0, ...corners.flatMap(({ x1, x2 }) => [x1, x2]))
  const bottom = Math.max(0, ...corners.flatMap(({ y1, y2 }) => [y1, y2]))
  // A little over the edge is still a share.
  if (Math.max(right, bottom) <= 1.5) return 'shares'
  if (asked !== 'shares') return asked
  return right <= width && bottom <= height ? 'pixels' : 'thousandths'
}

const share = (value: number, whole: number): number => Math.min(1, Math.max(0, value / whole))

/** A box inside of the picture, from whichever two corners; undefined for one without an area. */
export function boxOf({ x1, y1, x2, y2 }: Corners, unit: BoxUnit, size: Size): Box | undefined {
  const whole = { shares: { width: 1, height: 1 }, thousandths: { width: 1000, height: 1000 }, pixels: size }[unit]
  const [left, right] = [share(Math.min(x1, x2), whole.width), share(Math.max(x1, x2), whole.width)]
  const [top, bottom] = [share(Math.min(y1, y2), whole.height), share(Math.max(y1, y2), whole.height)]
  const box = { x: rounded(left), y: rounded(top), width: rounded(right - left), height: rounded(bottom - top) }
  return box.width > 0 && box.height > 0 ? box : undefined
}

/** Down, so that no box is wider than its picture. */
const rounded = (value: number): number => Math.floor(value * 1e6 + 1e-4) / 1e6

export const areaOf = ({ width, height }: Box): number => width * height

/** What two boxes share of what they cover together: 0 to 1. */
export function overlapOf(one: Box, other: Box): number {
  const width = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x)
  const height = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y)
  const shared = Math.max(0, width) * Math.max(0, height)
  return shared / (areaOf(one) + areaOf(other) - shared)
}

const columns = ['left', 'center', 'right'] as const
const rows = ['top', 'middle', 'bottom'] as const

/** Where the middle of a box is, in a word: `top-left`, `top`, `center`, `right`. */
export function positionOf({ x, y, width, height }: Box): string {
  const column = columns[Math.min(2, Math.floor((x + width / 2) * 3))] ?? 'center'
  const row = rows[Math.min(2, Math.floor((y + height / 2) * 3))] ?? 'middle'
  if (row === 'middle') return column
  return column === 'center' ? row : `${row}-${column}`
}

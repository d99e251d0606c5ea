import { pngOf } from '../../test/support/pictures.ts'

type Colour = readonly [number, number, number]
type Box = { x: number; y: number; width: number; height: number }

const SIDE = 384
const WHITE: Colour = [255, 255, 255]

const colours: Readonly<Record<string, Colour>> = {
  red: [220, 30, 30],
  green: [30, 160, 50],
  blue: [30, 60, 220],
  yellow: [245, 215, 30],
  orange: [245, 135, 20],
  purple: [130, 40, 170],
  black: [15, 15, 15],
  grey: [130, 130, 130],
  brown: [120, 70, 30],
  pink: [250, 150, 190],
}
/** Whether a place is in a form, from its middle: -1 to 1 across. */
const forms: Readonly<Record<string, (x: number, y: number) => boolean>> = {
  circle: (x, y) => Math.hypot(x, y) < 1,
  square: (x, y) => Math.max(Math.abs(x), Math.abs(y)) < 1,
  triangle: (x, y) => y < 1 && y > 2 * Math.abs(x) - 1,
  ring: (x, y) => Math.hypot(x, y) < 1 && Math.hypot(x, y) > 0.6,
  cross: (x, y) => Math.min(Math.abs(x), Math.abs(y)) < 0.3 && Math.max(Math.abs(x), Math.abs(y)) < 1,
  diamond: (x, y) => Math.abs(x) + Math.abs(y) < 1,
  bar: (x, y) => Math.abs(x) < 1 && Math.abs(y) < 0.3,
  pillar: (x, y) => Math.abs(x) < 0.3 && Math.abs(y) < 1,
  frame: (x, y) => Math.max(Math.abs(x), Math.abs(y)) < 1 && Math.max(Math.abs(x), Math.abs(y)) > 0.7,
  stripes: (x, y) => Math.max(Math.abs(x), Math.abs(y)) < 1 && Math.floor((y + 1) * 4) % 2 === 0,
}

type Thing = { colour: Colour; form: (x: number, y: number) => boolean; box: Box }

function drawn(things: readonly Thing[]): Uint8Array {
  const pixels = new Uint8Array(SIDE * SIDE * 3)
  for (let at = 0; at < SIDE * SIDE; at++) {
    const [x, y] = [((at % SIDE) + 0.5) / SIDE, (Math.floor(at / SIDE) + 0.5) / SIDE]
    const seen = things.find(({ form, box }) =>
      form(((x - box.x) / box.width) * 2 - 1, ((y - box.y) / box.height) * 2 - 1),
    )
    pixels.set(seen?.colour ?? WHITE, at * 3)
  }
  return pngOf(pixels, SIDE)
}

const middle: Box = { x: 0.2, y: 0.2, width: 0.6, height: 0.6 }

/** Pictures of one thing each, with the words for it: up to a hundred that are all different. */
export const singles = (count: number): { words: string; png: Uint8Array }[] =>
  Object.entries(forms)
    .flatMap(([form, shape]) =>
      Object.entries(colours).map(([name, colour]) => ({ words: `a ${name} ${form}`, colour, shape })),
    )
    .slice(0, count)
    .map(({ words, colour, shape }) => ({ words, png: drawn([{ colour, form: shape, box: middle }]) }))

const three = [
  { name: 'red square', colour: [220, 30, 30], form: 'square', box: { x: 0.08, y: 0.1, width: 0.3, height: 0.3 } },
  { name: 'blue circle', colour: [30, 60, 220], form: 'circle', box: { x: 0.6, y: 0.12, width: 0.3, height: 0.3 } },
  {
    name: 'green triangle',
    colour: [30, 160, 50],
    form: 'triangle',
    box: { x: 0.35, y: 0.58, width: 0.3, height: 0.34 },
  },
] as const satisfies readonly { name: string; colour: Colour; form: string; box: Box }[]

/** Three things in one picture, and where they are. */
export const threeThings = {
  png: drawn(three.map(({ colour, form, box }) => ({ colour, box, form: forms[form] ?? (() => false) }))),
  things: three.map(({ name, box }) => ({ name, box })),
}

/** What two boxes share of what they cover together. */
export function overlapOf(one: Box, other: Box): number {
  const across = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x)
  const down = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y)
  const shared = Math.max(0, across) * Math.max(0, down)
  return shared / (one.width * one.height + other.width * other.height - shared)
}

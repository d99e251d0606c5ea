import { big } from './bytes.ts'
import { type Bits, bitsOf, type Codes, codesOf } from './huffman.ts'
import { MAX_MEGAPIXELS } from './image.ts'
import { type Segment, START_OF_SCAN, segmentsOf } from './jpeg.ts'
import { type Thumbnail, thumbnailOf } from './thumbnail.ts'

type Component = { id: number; across: number; down: number; table: number; previous: number }
type Frame = { width: number; height: number; isProgressive: boolean; components: Component[] }

/** What segments before a scan have told. */
type Tables = {
  quants: Map<number, number>
  codes: Map<number, Codes>
  restart: number
  frame: Frame | undefined
  defined: number
}

/** Baseline, extended and progressive with Huffman codes, 8 bits a sample. */
const READABLE = new Set([0xc0, 0xc1, 0xc2])

/**
 * A JPEG at an eighth of its size: of each block of 64 pixels only the mean is read, so that no picture is ever in
 * memory. Of a progressive one the first scan has it all. Undefined for codings that are not read here.
 */
export function jpegThumbnail(bytes: Uint8Array): Thumbnail | undefined {
  const tables: Tables = { quants: new Map(), codes: new Map(), restart: 0, frame: undefined, defined: 0 }
  for (const segment of segmentsOf(bytes)) {
    const { marker, data } = segment
    if (marker === 0xdb) readQuants(bytes, segment, tables.quants)
    if (marker === 0xc4 && !readCodes(bytes, segment, tables)) return undefined
    if (marker === 0xdd) tables.restart = big(bytes, data, 2)
    if (marker >= 0xc0 && marker <= 0xcf && READABLE.has(marker)) tables.frame = frameOf(bytes, segment)
    if (marker === START_OF_SCAN) {
      const scan = scanOf(bytes, segment, tables)
      if (scan === undefined) return undefined
      if (scan.components.some(({ isBright }) => isBright)) return readScan(bytes, scan)
    }
  }
  return undefined
}

/** A picture has eight tables of codes, and some define them anew: one that does so without end is not read. */
const MAX_TABLES = 64

function readCodes(bytes: Uint8Array, { data, end }: Segment, tables: Tables): boolean {
  for (const [slot, codes] of codesOf(bytes, data, end)) {
    tables.codes.set(slot, codes)
    if (++tables.defined > MAX_TABLES) return false
  }
  return true
}

/** Of a table only the first value is wanted: that of the mean. */
function readQuants(bytes: Uint8Array, { data, end }: Segment, quants: Map<number, number>): void {
  for (let at = data; at < end; ) {
    const isWide = (bytes[at] ?? 0) >> 4 !== 0
    quants.set((bytes[at] ?? 0) & 15, big(bytes, at + 1, isWide ? 2 : 1))
    at += isWide ? 129 : 65
  }
}

function frameOf(bytes: Uint8Array, { marker, data }: Segment): Frame | undefined {
  const count = bytes[data + 5] ?? 0
  if (bytes[data] !== 8 || (count !== 1 && count !== 3)) return undefined
  const components = Array.from({ length: count }, (_none, index) => {
    const [id = 0, sampling = 0, table = 0] = bytes.subarray(data + 6 + index * 3, data + 9 + index * 3)
    return { id, across: sampling >> 4, down: sampling & 15, table, previous: 0 }
  })
  const isSound = components.every(({ across, down }) => across >= 1 && across <= 4 && down >= 1 && down <= 4)
  const [width, height] = [big(bytes, data + 3, 2), big(bytes, data + 1, 2)]
  const isSmall = width * height <= MAX_MEGAPIXELS * 1_000_000
  return isSound && isSmall ? { width, height, isProgressive: marker === 0xc2, components } : undefined
}

type Scanned = { component: Component; mean: Codes; rest: Codes | undefined; isBright: boolean }
type Scan = { frame: Frame; components: Scanned[]; restart: number; shift: number; quant: number; start: number }

/** Undefined where something is missing that the scan needs. */
function scanOf(
  bytes: Uint8Array,
  { data, end }: Segment,
  { frame, codes, quants, restart }: Tables,
): Scan | undefined {
  const count = bytes[data] ?? 0
  const [bright] = frame?.components ?? []
  if (frame === undefined || bright === undefined) return undefined
  const components: Scanned[] = []
  for (let index = 0; index < count; index++) {
    const [id, slots = 0] = bytes.subarray(data + 1 + index * 2, data + 3 + index * 2)
    const component = frame.components.find((one) => one.id === id)
    const mean = codes.get(slots >> 4)
    const rest = frame.isProgressive ? undefined : codes.get(0x10 | (slots & 15))
    if (component === undefined || mean === undefined || (!frame.isProgressive && rest === undefined)) return undefined
    components.push({ component, mean, rest, isBright: component === bright })
  }
  const [first, last, shift = 0] = bytes.subarray(data + 1 + count * 2, data + 4 + count * 2)
  // The first scan of a progressive picture has the means, and none but them.
  if (frame.isProgressive && (first !== 0 || last !== 0 || shift >> 4 !== 0)) return undefined
  return { frame, components, restart, shift: shift & 15, quant: quants.get(bright.table) ?? 1, start: end }
}

type Grid = { across: number; down: number; blocksAcross: number; blocksDown: number }

/** How a scan walks over the picture: block by block, or by groups of the blocks of all its components. */
function gridOf({ frame, components }: Scan): Grid {
  const [most, tallest] = [
    Math.max(...frame.components.map(({ across }) => across)),
    Math.max(...frame.components.map(({ down }) => down)),
  ]
  const [bright] = frame.components
  const blocks = (size: number, share: number, whole: number) => Math.ceil(Math.ceil((size * share) / whole) / 8)
  const blocksAcross = blocks(frame.width, bright?.across ?? 1, most)
  const blocksDown = blocks(frame.height, bright?.down ?? 1, tallest)
  if (components.length === 1) return { across: blocksAcross, down: blocksDown, blocksAcross, blocksDown }
  const [across, down] = [Math.ceil(frame.width / (8 * most)), Math.ceil(frame.height / (8 * tallest))]
  return { across, down, blocksAcross, blocksDown }
}

function readScan(bytes: Uint8Array, scan: Scan): Thumbnail | undefined {
  const { components, restart, shift, quant, start } = scan
  const { across, down, blocksAcross, blocksDown } = gridOf(scan)
  const thumbnail = thumbnailOf(blocksAcross, blocksDown)
  const bits = bitsOf(bytes, start)
  const isAlone = components.length === 1
  for (let unit = 0; unit < across * down; unit++) {
    if (restart > 0 && unit > 0 && unit % restart === 0) {
      bits.restart()
      for (const { component } of components) component.previous = 0
    }
    for (const { component, mean, rest, isBright } of components) {
      const [wide, tall] = isAlone ? [1, 1] : [component.across, component.down]
      for (let block = 0; block < wide * tall; block++) {
        if (!readBlock(bits, { component, mean, rest })) return undefined
        const x = (unit % across) * wide + (block % wide)
        const y = Math.floor(unit / across) * tall + Math.floor(block / wide)
        if (!isBright || x >= blocksAcross || y >= blocksDown) continue
        thumbnail.add(x, y, Math.min(255, Math.max(0, (component.previous * 2 ** shift * quant) / 8 + 128)))
      }
    }
  }
  return thumbnail
}

/** Reads the mean, which is told as the difference to the block before, and passes over the rest. False at the end. */
function readBlock(bits: Bits, { component, mean, rest }: Omit<Scanned, 'isBright'>): boolean {
  const size = bits.symbol(mean)
  if (size < 0 || size > 11) return false
  component.previous += bits.signed(size)
  if (rest === undefined) return true
  for (let index = 1; index < 64; index++) {
    const symbol = bits.symbol(rest)
    if (symbol < 0) return false
    const length = symbol & 15
    if (length === 0 && symbol !== 0xf0) break
    index += symbol >> 4
    bits.skip(length)
  }
  return true
}

import { big, noAudio, textAt } from './bytes.ts'
import type { Heard } from './sound.ts'

const EBML = 0x1a45dfa3
const DOC_TYPE = 0x4282
const SEGMENT = 0x18538067
const INFO = 0x1549a966
const TIMESTAMP_SCALE = 0x2ad7b1
const DURATION = 0x4489
const TRACKS = 0x1654ae6b
const TRACK_ENTRY = 0xae
const TRACK_TYPE = 0x83
const SOUND = 2
const CLUSTER = 0x1f43b675
const DEFAULT_SCALE_NS = 1_000_000

type Element = { id: number; data: number; end: number }

/** How many bytes a number has, told by the zeros in front of its first one. */
const widthOf = (first: number) => Math.clz32(first) - 23

/** The elements between two places (RFC 8794); one of unknown length goes on to the end. */
function* elementsOf(bytes: Uint8Array, from: number, to: number): Generator<Element> {
  for (let at = from; at < to; ) {
    const idWidth = widthOf(bytes[at] ?? 0)
    const sizeAt = at + idWidth
    const sizeWidth = widthOf(bytes[sizeAt] ?? 0)
    const data = sizeAt + sizeWidth
    if (idWidth > 4 || sizeWidth > 8 || data > to) return
    const marked = big(bytes, sizeAt, sizeWidth)
    const size = marked - 2 ** (7 * sizeWidth)
    const isUnknown = size === 2 ** (7 * sizeWidth) - 1
    const end = isUnknown ? to : Math.min(to, data + size)
    yield { id: big(bytes, at, idWidth), data, end }
    at = end
  }
}

function child(bytes: Uint8Array, { data, end }: Element, id: number): Element | undefined {
  for (const element of elementsOf(bytes, data, end)) if (element.id === id) return element
  return undefined
}

const numberIn = (bytes: Uint8Array, { data, end }: Element) => big(bytes, data, Math.min(end - data, 6))

function floatIn(bytes: Uint8Array, { data, end }: Element): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + data, end - data)
  if (end - data === 4) return view.getFloat32(0)
  return end - data === 8 ? view.getFloat64(0) : 0
}

/** What stands in front of the first cluster. */
function headOf(bytes: Uint8Array, segment: Element): { info?: Element; tracks?: Element } {
  const found: { info?: Element; tracks?: Element } = {}
  for (const element of elementsOf(bytes, segment.data, segment.end)) {
    if (element.id === INFO) found.info = element
    if (element.id === TRACKS) found.tracks = element
    if (element.id === CLUSTER) break
  }
  return found
}

function hasSound(bytes: Uint8Array, tracks: Element): boolean {
  for (const entry of elementsOf(bytes, tracks.data, tracks.end)) {
    const type = entry.id === TRACK_ENTRY ? child(bytes, entry, TRACK_TYPE) : undefined
    if (type && numberIn(bytes, type) === SOUND) return true
  }
  return false
}

/** Undefined for other files of Matroska. What a browser records tells no duration. */
export function webmSound(bytes: Uint8Array): Heard | undefined {
  const [head] = elementsOf(bytes, 0, bytes.length)
  const docType = head?.id === EBML ? child(bytes, head, DOC_TYPE) : undefined
  if (head === undefined || docType === undefined) return undefined
  if (textAt(bytes, docType.data, Math.min(4, docType.end - docType.data)) !== 'webm') return undefined
  const [segment] = elementsOf(bytes, head.end, bytes.length)
  const { info, tracks } = segment?.id === SEGMENT ? headOf(bytes, segment) : {}
  if (tracks === undefined || !hasSound(bytes, tracks)) throw noAudio('none of its tracks is a sound')
  return { format: 'webm', durationMs: info && durationIn(bytes, info) }
}

function durationIn(bytes: Uint8Array, info: Element): number | undefined {
  const scale = child(bytes, info, TIMESTAMP_SCALE)
  const duration = child(bytes, info, DURATION)
  const scaleNs = scale ? numberIn(bytes, scale) : DEFAULT_SCALE_NS
  const ms = duration ? (floatIn(bytes, duration) * scaleNs) / 1_000_000 : 0
  return ms > 0 && Number.isFinite(ms) ? Math.round(ms) : undefined
}

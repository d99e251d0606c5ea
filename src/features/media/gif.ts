import { brokenImage, has, little, partCounter } from './bytes.ts'
import type { Size } from './image.ts'

export type GifBlock = { kind: 'control' | 'image' | 'loop' | 'other' | 'end'; start: number; end: number }

const tableBytes = (flags: number) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0)

/** Where the blocks begin: behind the screen's description and its colours. */
export const bodyStart = (bytes: Uint8Array) => 13 + tableBytes(bytes[10] ?? 0)

/** Behind the sub-blocks that begin there: each says its length, the last is empty. */
export function subBlocksEnd(bytes: Uint8Array, from: number): number {
  for (let at = from; ; ) {
    const length = bytes[at]
    if (length === undefined) throw brokenImage('it ends inside a block')
    at += length + 1
    if (length === 0) return at
  }
}

/** Where an image block's compressed pixels begin: behind its description and its colours. */
export const pixelsStart = (bytes: Uint8Array, start: number) => start + 10 + tableBytes(bytes[start + 9] ?? 0)

/** Every block; a file may lack its trailer. Throws `undecodable_image` where a block breaks off. */
export function* blocksOf(bytes: Uint8Array): Generator<GifBlock> {
  const countPart = partCounter()
  for (let start = bodyStart(bytes); start < bytes.length; ) {
    countPart()
    const first = bytes[start]
    if (first === 0x3b) {
      yield { kind: 'end', start, end: start + 1 }
      return
    }
    if (first !== 0x21 && first !== 0x2c) throw brokenImage('it has a block of no kind')
    const isImage = first === 0x2c
    const end = subBlocksEnd(bytes, isImage ? pixelsStart(bytes, start) + 1 : start + 2)
    yield { kind: isImage ? 'image' : extensionKind(bytes, start), start, end }
    start = end
  }
}

function extensionKind(bytes: Uint8Array, start: number): 'control' | 'loop' | 'other' {
  if (bytes[start + 1] === 0xf9) return 'control'
  return has(bytes, start + 1, '\xff\x0bNETSCAPE2.0') ? 'loop' : 'other'
}

export function gifSize(bytes: Uint8Array): Size {
  if (bytes.length < 13) throw brokenImage('it has no header')
  let frames = 0
  for (const { kind } of blocksOf(bytes)) if (kind === 'image') frames++
  if (frames === 0) throw brokenImage('it has no frame')
  return { width: little(bytes, 6, 2), height: little(bytes, 8, 2), frames }
}

/** The file without comments, texts, programs' own blocks and what stands behind its end. Views of the same bytes. */
export function strippedGif(bytes: Uint8Array): Uint8Array[] {
  const pieces = [bytes.subarray(0, bodyStart(bytes))]
  for (const { kind, start, end } of blocksOf(bytes)) {
    if (kind !== 'other' && kind !== 'end') pieces.push(bytes.subarray(start, end))
  }
  return [...pieces, new Uint8Array([0x3b])]
}

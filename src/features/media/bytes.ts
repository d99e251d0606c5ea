import { AppError } from '../../core/errors.ts'

/** A whole number of 1 to 6 bytes, most significant first. What lies behind the end counts as zero. */
export function big(bytes: Uint8Array, at: number, length: number): number {
  let value = 0
  for (let index = 0; index < length; index++) value = value * 256 + (bytes[at + index] ?? 0)
  return value
}

/** The same, least significant first. */
export function little(bytes: Uint8Array, at: number, length: number): number {
  let value = 0
  for (let index = length - 1; index >= 0; index--) value = value * 256 + (bytes[at + index] ?? 0)
  return value
}

/** Eight bytes, most significant first: exact up to 2^53. */
export const big64 = (bytes: Uint8Array, at: number) => big(bytes, at, 4) * 2 ** 32 + big(bytes, at + 4, 4)
export const little64 = (bytes: Uint8Array, at: number) => little(bytes, at + 4, 4) * 2 ** 32 + little(bytes, at, 4)

/** Whether these bytes stand there, written as Latin-1. */
export function has(bytes: Uint8Array, at: number, text: string): boolean {
  if (at + text.length > bytes.length) return false
  for (let index = 0; index < text.length; index++) {
    if (bytes[at + index] !== text.charCodeAt(index)) return false
  }
  return true
}

/** Bytes as Latin-1 text; shorter at the end. */
export const textAt = (bytes: Uint8Array, at: number, length: number): string =>
  String.fromCharCode(...bytes.subarray(at, at + length))

/** The same memory with the platform's own searches. */
export const searchable = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Chunks, segments or blocks of an honest picture; some encoders cut 50 MB into pieces of a kilobyte. */
const MOST_PARTS = 100_000

/** To be called for each part of a picture: a file of nothing but parts makes a list that is larger than any memory. */
export function partCounter(): () => void {
  let parts = 0
  return () => {
    parts += 1
    if (parts > MOST_PARTS) throw brokenImage('it is in too many parts')
  }
}

export const brokenImage = (why: string) => new AppError('undecodable_image', `The picture cannot be read: ${why}.`)

export const noAudio = (why: string) =>
  new AppError('no_audio_stream', `There is nothing to hear in this file: ${why}.`, { param: 'file' })

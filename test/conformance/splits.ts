import fc from 'fast-check'

/** Bytes one by one. */
export const single = (bytes: Uint8Array): Uint8Array[] => Array.from(bytes, (byte) => Uint8Array.of(byte))

/** Bytes cut at these places, which may come in any order and more than once. */
export function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...new Set([...places, bytes.length])].filter((place) => place > 0 && place <= bytes.length)
  ends.sort((left, right) => left - right)
  return ends.map((end, position) => bytes.subarray(ends[position - 1] ?? 0, end))
}

/** Every place inside of a character, behind a backslash, or around the end of a line: where a reader may stumble. */
export function dangerous(bytes: Uint8Array): number[] {
  const places: number[] = []
  for (const [position, byte] of bytes.entries()) {
    const before = bytes[position - 1]
    const isInside = (byte & 0xc0) === 0x80
    if (isInside || before === 0x5c || before === 0x0a || byte === 0x0a) places.push(position)
  }
  return places
}

/** A few places of a text of this length, the same ones for the same seed. */
export const places = (length: number, { seed, numRuns }: { seed: number; numRuns: number }): number[][] =>
  fc.sample(fc.array(fc.nat(length), { minLength: 1, maxLength: 6 }), { seed, numRuns })

/** Codes of up to 16 bits by the bits that come next: the length of the code, then its symbol; 0 where there is none. */
export type Codes = Uint16Array

/** The code tables of a segment, by class and number (ITU T.81, B.2.4.2 and C). */
export function* codesOf(bytes: Uint8Array, from: number, to: number): Generator<[slot: number, codes: Codes]> {
  for (let at = from; at + 17 <= to; ) {
    const counts = bytes.subarray(at + 1, at + 17)
    const codes = new Uint16Array(65_536)
    let [code, symbolAt] = [0, at + 17]
    for (const [index, count] of counts.entries()) {
      const length = index + 1
      for (let left = count; left > 0; left--) {
        const start = code << (16 - length)
        codes.fill((length << 8) | (bytes[symbolAt++] ?? 0), start, start + (1 << (16 - length)))
        code++
      }
      code <<= 1
    }
    yield [bytes[at] ?? 0, codes]
    at = symbolAt
  }
}

export type Bits = {
  /** The next symbol; -1 where no code fits or the scan has ended. */
  symbol: (codes: Codes) => number
  /** A number of so many bits, whose first one tells its sign. */
  signed: (length: number) => number
  skip: (length: number) => void
  /** Goes on behind the next restart marker. */
  restart: () => void
}

/** A scan bit by bit. Behind its end come zeros, which are counted: more than a code is long, and it has ended. */
export function bitsOf(bytes: Uint8Array, from: number): Bits {
  let [at, held, count, missing] = [from, 0, 0, 0]
  /** Makes sure of 16 bits. */
  const fill = () => {
    while (count <= 16) {
      const byte = bytes[at]
      const isMarker = byte === 0xff && bytes[at + 1] !== 0
      if (byte === undefined || isMarker) {
        missing += 1
        held = (held << 8) & 0xffffff
      } else {
        held = ((held << 8) | byte) & 0xffffff
        at += byte === 0xff ? 2 : 1
      }
      count += 8
    }
  }
  const take = (length: number): number => {
    fill()
    count -= length
    return (held >>> count) & (2 ** length - 1)
  }
  return {
    symbol: (codes) => {
      fill()
      const entry = codes[(held >>> (count - 16)) & 0xffff] ?? 0
      if (entry === 0 || missing > 8) return -1
      count -= entry >> 8
      return entry & 255
    },
    signed: (length) => {
      const value = take(length)
      return length === 0 || value >= 2 ** (length - 1) ? value : value - 2 ** length + 1
    },
    skip: (length) => void take(length),
    restart: () => {
      ;[held, count, missing] = [0, 0, 0]
      while (at + 1 < bytes.length && !(bytes[at] === 0xff && isRestart(bytes[at + 1] ?? 0))) at++
      at += 2
    },
  }
}

const isRestart = (marker: number) => marker >= 0xd0 && marker <= 0xd7

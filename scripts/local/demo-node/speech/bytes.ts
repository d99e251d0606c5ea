export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}

export type Container = 'WAV' | 'MP3' | 'FLAC' | 'AAC' | 'OGG' | 'WebM' | 'M4A'

/** What kind of recording the bytes begin like; undefined for anything else. */
export function containerOf(bytes: Buffer): Container | undefined {
  const text = (from: number, length: number) => bytes.toString('latin1', from, from + length)
  if (text(0, 4) === 'RIFF' && text(8, 4) === 'WAVE') return 'WAV'
  if (text(0, 4) === 'fLaC') return 'FLAC'
  if (text(0, 4) === 'OggS') return 'OGG'
  if (text(4, 4) === 'ftyp') return 'M4A'
  if (bytes.length >= 4 && bytes.readUInt32BE(0) === 0x1a45dfa3) return 'WebM'
  const [first = 0, second = 0] = bytes
  if (first === 0xff && (second & 0xf6) === 0xf0) return 'AAC'
  if (text(0, 3) === 'ID3' || (first === 0xff && (second & 0xe6) === 0xe2)) return 'MP3'
  return undefined
}

/** Of a compressed recording, whose frames are not read here, if it has the usual 128 kbit/s. */
export const guessedSeconds = (bytes: Uint8Array): number => bytes.length / 16_000

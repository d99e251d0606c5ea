import { big, noAudio } from './bytes.ts'
import type { Heard } from './sound.ts'

/** Samples of one channel in all and in a second, of FLAC's stream information that begins there. */
export function flacInfo(bytes: Uint8Array, at: number): { samples: number; rate: number } {
  const rate = big(bytes, at + 10, 3) >>> 4
  return { rate, samples: ((bytes[at + 13] ?? 0) & 15) * 2 ** 32 + big(bytes, at + 14, 4) }
}

/** From the stream's information, which every file begins with (RFC 9639, 8.2). */
export function flacSound(bytes: Uint8Array): Heard {
  const isWhole = bytes.length >= 42 && ((bytes[4] ?? 0) & 0x7f) === 0 && big(bytes, 5, 3) === 34
  const { rate, samples } = flacInfo(bytes, 8)
  if (!isWhole || rate === 0) throw noAudio('its header is damaged')
  return { format: 'flac', durationMs: samples === 0 ? undefined : Math.round((samples * 1000) / rate) }
}

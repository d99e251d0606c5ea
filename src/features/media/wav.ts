import { has, little, noAudio } from './bytes.ts'
import type { Heard } from './sound.ts'

/** What a writer puts that did not know how long the sound would be. */
const UNKNOWN = 0xffffffff

/** By its format and the length of its samples; what was cut off does not count. Of a long file what is in front is enough. */
export function wavSound(bytes: Uint8Array, sizeBytes: number = bytes.length): Heard {
  let bytesPerSecond = 0
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = little(bytes, at + 4, 4)
    const data = at + 8
    if (has(bytes, at, 'fmt ') && length >= 14) {
      const [channels, rate] = [little(bytes, data + 2, 2), little(bytes, data + 4, 4)]
      bytesPerSecond = channels > 0 && rate > 0 ? little(bytes, data + 8, 4) : 0
    }
    if (has(bytes, at, 'data')) {
      const present = Math.min(length === UNKNOWN ? Infinity : length, sizeBytes - data)
      if (bytesPerSecond === 0) throw noAudio('its format is missing or damaged')
      if (present <= 0) throw noAudio('it has no samples')
      return { format: 'wav', durationMs: Math.round((present * 1000) / bytesPerSecond) }
    }
    at = data + length + (length % 2)
  }
  throw noAudio('it has no samples')
}

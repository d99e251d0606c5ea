import type { Sound } from '../../../ops/node/agent/sound.ts'

export type Wave = (seconds: number) => number

/** A sound made sample by sample; the same in every channel. */
export function soundFrom(wave: Wave, { seconds = 5, sampleRate = 48_000, channels = 1 } = {}): Sound {
  const samples = Float32Array.from({ length: seconds * sampleRate }, (_, index) => wave(index / sampleRate))
  return { sampleRate, channels: Array.from({ length: channels }, () => samples) }
}

export const tone =
  (hz: number, amplitude = 1): Wave =>
  (seconds) =>
    amplitude * Math.sin(2 * Math.PI * hz * seconds)

export const silence: Wave = () => 0

/** The same at every run. */
export function noise(amplitude: number): Wave {
  let state = 1
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return amplitude * (state / 0x80000000 - 1)
  }
}

/** A WAV file of 16-bit samples. */
export function wavOf({ sampleRate, channels }: Sound): Uint8Array<ArrayBuffer> {
  const frames = channels[0]?.length ?? 0
  const bytes = Buffer.alloc(44 + frames * channels.length * 2)
  bytes.write('RIFF', 0, 'latin1')
  bytes.writeUInt32LE(bytes.length - 8, 4)
  bytes.write('WAVEfmt ', 8, 'latin1')
  bytes.writeUInt32LE(16, 16)
  bytes.writeUInt16LE(1, 20)
  bytes.writeUInt16LE(channels.length, 22)
  bytes.writeUInt32LE(sampleRate, 24)
  bytes.writeUInt32LE(sampleRate * channels.length * 2, 28)
  bytes.writeUInt16LE(channels.length * 2, 32)
  bytes.writeUInt16LE(16, 34)
  bytes.write('data', 36, 'latin1')
  bytes.writeUInt32LE(frames * channels.length * 2, 40)
  for (let frame = 0, at = 44; frame < frames; frame += 1) {
    for (const samples of channels) {
      bytes.writeInt16LE(Math.round(Math.max(-1, Math.min(1, samples[frame] ?? 0)) * 0x7fff), at)
      at += 2
    }
  }
  return new Uint8Array(bytes)
}

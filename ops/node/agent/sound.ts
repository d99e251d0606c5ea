/** Samples between -1 and 1, one array for each channel. */
export type Sound = { sampleRate: number; channels: readonly Float32Array[] }

const PCM = 1
const FLOAT = 3
const EXTENSIBLE = 0xfffe

const textAt = (view: DataView, at: number): string =>
  String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3))

type Format = { kind: number; channels: number; sampleRate: number; bits: number }

/** The format and the place of the samples; a data chunk of unknown length (a stream) goes to the end. */
function chunksOf(view: DataView): { format: Format; dataAt: number; dataBytes: number } | undefined {
  let format: Format | undefined
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const name = textAt(view, at)
    const size = view.getUint32(at + 4, true)
    const bodyAt = at + 8
    if (name === 'fmt ' && bodyAt + 16 <= view.byteLength) {
      const kind = view.getUint16(bodyAt, true)
      const isExtended = kind === EXTENSIBLE && size >= 26 && bodyAt + 26 <= view.byteLength
      format = {
        kind: isExtended ? view.getUint16(bodyAt + 24, true) : kind,
        channels: view.getUint16(bodyAt + 2, true),
        sampleRate: view.getUint32(bodyAt + 4, true),
        bits: view.getUint16(bodyAt + 14, true),
      }
    }
    if (name === 'data' && format) {
      return { format, dataAt: bodyAt, dataBytes: Math.min(size, view.byteLength - bodyAt) }
    }
    at = bodyAt + size + (size % 2)
  }
  return undefined
}

type Reader = (view: DataView, at: number) => number

const readers: Readonly<Record<string, Reader>> = {
  [`${PCM}/8`]: (view, at) => (view.getUint8(at) - 128) / 128,
  [`${PCM}/16`]: (view, at) => view.getInt16(at, true) / 0x8000,
  [`${PCM}/24`]: (view, at) => (view.getInt16(at + 1, true) * 256 + view.getUint8(at)) / 0x800000,
  [`${PCM}/32`]: (view, at) => view.getInt32(at, true) / 0x80000000,
  [`${FLOAT}/32`]: (view, at) => view.getFloat32(at, true),
  [`${FLOAT}/64`]: (view, at) => view.getFloat64(at, true),
}

/** Whether the bytes call themselves WAV. */
export function isWav(bytes: Uint8Array): boolean {
  if (bytes.length < 12) return false
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return textAt(view, 0) === 'RIFF' && textAt(view, 8) === 'WAVE'
}

/** The samples of a WAV file with integer or floating-point PCM; undefined for anything else. */
export function parseWav(bytes: Uint8Array): Sound | undefined {
  if (!isWav(bytes)) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const found = chunksOf(view)
  if (!found) return undefined
  const { format, dataAt, dataBytes } = found
  const read = readers[`${format.kind}/${format.bits}`]
  if (!read || format.channels === 0 || format.channels > 64 || format.sampleRate < 1000) return undefined
  const sampleBytes = format.bits / 8
  const frames = Math.floor(dataBytes / (sampleBytes * format.channels))
  const channels = Array.from({ length: format.channels }, () => new Float32Array(frames))
  let at = dataAt
  for (let frame = 0; frame < frames; frame += 1) {
    for (const samples of channels) {
      samples[frame] = read(view, at)
      at += sampleBytes
    }
  }
  return { sampleRate: format.sampleRate, channels }
}

export const durationMsOf = ({ sampleRate, channels }: Sound): number =>
  Math.round(((channels[0]?.length ?? 0) * 1000) / sampleRate)

/** One channel, at a rate not above `highestRate` unless less than half of it; neighbours are averaged. */
export function monoOf(sound: Sound, highestRate: number): { sampleRate: number; samples: Float32Array } {
  const factor = Math.max(1, Math.floor(sound.sampleRate / highestRate))
  const length = Math.floor((sound.channels[0]?.length ?? 0) / factor)
  const samples = new Float32Array(length)
  const share = 1 / (factor * Math.max(1, sound.channels.length))
  for (const channel of sound.channels) {
    for (let index = 0, from = 0; index < length; index += 1) {
      let sum = 0
      for (let offset = 0; offset < factor; offset += 1) sum += channel[from++] ?? 0
      samples[index] = (samples[index] ?? 0) + sum * share
    }
  }
  return { sampleRate: sound.sampleRate / factor, samples }
}

export const decibels = (power: number): number => 10 * Math.log10(Math.max(power, 1e-12))

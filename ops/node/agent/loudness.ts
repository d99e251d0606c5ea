import { decibels, type Sound } from './sound.ts'

/** Integrated loudness by ITU-R BS.1770-5: K-weighting, blocks of 400 ms, an absolute and a relative gate. */

const BLOCK_SECONDS = 0.4
/** Blocks overlap by three quarters. */
const STEPS_PER_BLOCK = 4
const ABSOLUTE_GATE_LUFS = -70
const RELATIVE_GATE_LU = -10
const OFFSET_LU = -0.691

type Biquad = { b0: number; b1: number; b2: number; a1: number; a2: number }

/** The standard gives coefficients for 48 kHz; these are the analogue filters behind them, for any rate. */
function shelf(sampleRate: number): Biquad {
  const k = Math.tan((Math.PI * 1681.974450955533) / sampleRate)
  const q = 0.7071752369554196
  const high = 10 ** (3.999843853973347 / 20)
  const middle = high ** 0.4996667741545416
  const norm = 1 / (1 + k / q + k * k)
  return {
    b0: (high + (middle * k) / q + k * k) * norm,
    b1: 2 * (k * k - high) * norm,
    b2: (high - (middle * k) / q + k * k) * norm,
    a1: 2 * (k * k - 1) * norm,
    a2: (1 - k / q + k * k) * norm,
  }
}

function highPass(sampleRate: number): Biquad {
  const k = Math.tan((Math.PI * 38.13547087602444) / sampleRate)
  const q = 0.5003270373238773
  const norm = 1 / (1 + k / q + k * k)
  return { b0: 1, b1: -2, b2: 1, a1: 2 * (k * k - 1) * norm, a2: (1 - k / q + k * k) * norm }
}

/** Transposed direct form II; keeps its state from sample to sample. */
function filterOf({ b0, b1, b2, a1, a2 }: Biquad): (sample: number) => number {
  let first = 0
  let second = 0
  return (sample) => {
    const out = b0 * sample + first
    first = b1 * sample - a1 * out + second
    second = b2 * sample - a2 * out
    return out
  }
}

/** Mean power of each quarter of a block, K-weighted. */
function quarterPowers(samples: Float32Array, sampleRate: number): Float64Array {
  const length = Math.round((sampleRate * BLOCK_SECONDS) / STEPS_PER_BLOCK)
  const powers = new Float64Array(Math.floor(samples.length / length))
  const [rise, cut] = [filterOf(shelf(sampleRate)), filterOf(highPass(sampleRate))]
  for (let quarter = 0, at = 0; quarter < powers.length; quarter += 1) {
    let sum = 0
    for (const end = at + length; at < end; at += 1) {
      const weighted = cut(rise(samples[at] ?? 0))
      sum += weighted * weighted
    }
    powers[quarter] = sum / length
  }
  return powers
}

/** Left, right and centre count fully, the low-frequency channel not at all, the surrounds 1.5 dB more. */
function weightOf(channel: number, channels: number): number {
  if (channels < 5 || channel < 3) return 1
  if (channels === 6 && channel === 3) return 0
  return 1.41
}

function blockPowers({ sampleRate, channels }: Sound): number[] {
  const quarters = channels.map((samples) => quarterPowers(samples, sampleRate))
  const total = Array.from({ length: quarters[0]?.length ?? 0 }, (_, index) =>
    quarters.reduce((sum, powers, channel) => sum + weightOf(channel, channels.length) * (powers[index] ?? 0), 0),
  )
  // What is shorter than a block is one block.
  const width = Math.min(STEPS_PER_BLOCK, total.length)
  if (width === 0) return []
  return Array.from(
    { length: total.length - width + 1 },
    (_, index) => total.slice(index, index + width).reduce((sum, power) => sum + power, 0) / width,
  )
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
const loudness = (power: number): number => OFFSET_LU + decibels(power)

/** In LUFS. Silence, and what has no block above the absolute gate, is at that gate: -70. */
export function loudnessOf(sound: Sound): number {
  const heard = blockPowers(sound).filter((power) => loudness(power) > ABSOLUTE_GATE_LUFS)
  if (heard.length === 0) return ABSOLUTE_GATE_LUFS
  const gate = loudness(mean(heard)) + RELATIVE_GATE_LU
  return loudness(mean(heard.filter((power) => loudness(power) > gate)))
}

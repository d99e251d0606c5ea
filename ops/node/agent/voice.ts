import { spectrumOf } from './fourier.ts'
import { peakNear } from './rhythm.ts'
import { decibels } from './sound.ts'

/** A stretch that may be somebody speaking, with the pitch of its voiced part in Hz. */
export type VoiceSegment = { startMs: number; endMs: number; pitchHz: number | undefined; levelDb: number }

export type Voices = {
  /** Of the whole, 0 to 1. */
  share: number
  segments: readonly VoiceSegment[]
  pitchesHz: readonly number[]
  /** Mean level of what was heard, in dB below full scale. */
  levelDb: number
}

const STEP_MS = 20
const FRAME = 512
const QUIETEST_DB = -55
const LOUDEST_FLOOR_DB = -35
const ABOVE_FLOOR_DB = 9
/** Noise is flat (0.56 for white noise), voices and instruments have lines. */
const FLATTEST = 0.35
const MOST_CROSSINGS = 0.45
/** Breaths and stops inside a word are shorter. */
export const PAUSE_MS = 250
const SHORTEST_MS = 60
const PITCH_LOW_HZ = 60
const PITCH_HIGH_HZ = 500
const PITCH_FRAME_SECONDS = 0.05
const CLEAREST_PITCH = 0.5
/** Pitches are looked for this often at most, however long the recording. */
const MOST_PITCHES = 15_000

function flatness(magnitudes: Float64Array): number {
  let [logs, sum] = [0, 0]
  for (let bin = 2; bin < magnitudes.length; bin += 1) {
    const power = (magnitudes[bin] ?? 0) ** 2 + 1e-12
    logs += Math.log(power)
    sum += power
  }
  const count = magnitudes.length - 2
  return Math.exp(logs / count) / (sum / count)
}

function crossings(samples: Float32Array, from: number, length: number): number {
  let count = 0
  for (let index = from + 1; index < from + length; index += 1) {
    if ((samples[index] ?? 0) >= 0 !== (samples[index - 1] ?? 0) >= 0) count += 1
  }
  return count / length
}

function power(samples: Float32Array, from: number, length: number): number {
  let sum = 0
  for (let index = from; index < from + length; index += 1) sum += (samples[index] ?? 0) ** 2
  return sum / Math.max(1, length)
}

/** For each step of 20 ms, whether a voice may be heard in it. */
function heardSteps(samples: Float32Array, step: number, levels: readonly number[]): boolean[] {
  const floor = [...levels].sort((left, right) => left - right)[Math.floor(levels.length / 10)] ?? QUIETEST_DB
  const threshold = Math.min(LOUDEST_FLOOR_DB, Math.max(QUIETEST_DB, floor + ABOVE_FLOOR_DB))
  const spectrum = spectrumOf(FRAME)
  return levels.map((level, index) => {
    if (level < threshold || crossings(samples, index * step, step) > MOST_CROSSINGS) return false
    return flatness(spectrum(samples, index * step)) < FLATTEST
  })
}

/** The pitch at a place by normalised autocorrelation; undefined where it is not clear. */
export function pitchAt(samples: Float32Array, sampleRate: number, from: number): number | undefined {
  const length = Math.floor(PITCH_FRAME_SECONDS * sampleRate)
  const shortest = Math.floor(sampleRate / PITCH_HIGH_HZ)
  const longest = Math.ceil(sampleRate / PITCH_LOW_HZ)
  if (from + length + longest > samples.length) return undefined
  const energy = power(samples, from, length)
  if (energy < 1e-7) return undefined
  // The energy of the shifted frame slides along with the shift.
  let shifted = power(samples, from + shortest, length)
  const fits = Array.from({ length: longest + 2 - shortest }, (_, index) => {
    const start = from + shortest + index
    let sum = 0
    for (let offset = 0; offset < length; offset += 1) {
      sum += (samples[from + offset] ?? 0) * (samples[start + offset] ?? 0)
    }
    const fit = sum / length / Math.sqrt(energy * Math.max(shifted, 1e-9))
    shifted += ((samples[start + length] ?? 0) ** 2 - (samples[start] ?? 0) ** 2) / length
    return fit
  })
  const clearest = Math.max(...fits)
  if (clearest < CLEAREST_PITCH) return undefined
  // Twice the period fits as well as once: the first peak that is nearly the highest is the pitch.
  const first = fits.findIndex(
    (fit, index) => index > 0 && fit > 0.9 * clearest && fit >= (fits[index - 1] ?? 1) && fit >= (fits[index + 1] ?? 1),
  )
  if (first < 0 || shortest + first > longest) return undefined
  return sampleRate / (shortest + peakNear(first, (index) => fits[index] ?? 0))
}

const median = (values: readonly number[]): number | undefined =>
  [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)]

/** Runs of heard steps; a gap shorter than a pause joins them. */
function runsOf(heard: readonly boolean[]): { from: number; to: number }[] {
  const runs: { from: number; to: number }[] = []
  for (const [step, isHeard] of heard.entries()) {
    if (!isHeard) continue
    const last = runs.at(-1)
    if (last && (step - last.to) * STEP_MS < PAUSE_MS) last.to = step + 1
    else runs.push({ from: step, to: step + 1 })
  }
  return runs.filter((run) => (run.to - run.from) * STEP_MS >= SHORTEST_MS)
}

/** Where somebody may be speaking. `slow` is the same sound at a lower rate, for the pitch. */
export function voicesOf(
  samples: Float32Array,
  sampleRate: number,
  slow: { sampleRate: number; samples: Float32Array },
): Voices {
  const step = Math.round((sampleRate * STEP_MS) / 1000)
  const steps = Math.floor(samples.length / step)
  const levels = Array.from({ length: steps }, (_, index) => decibels(power(samples, index * step, step)))
  const heard = heardSteps(samples, step, levels)
  const heardCount = heard.filter((isHeard) => isHeard).length
  const stride = Math.max(2, Math.ceil(heardCount / MOST_PITCHES))
  const pitchesHz: number[] = []
  const segments = runsOf(heard).map(({ from, to }) => {
    const own: number[] = []
    for (let index = from; index < to; index += stride) {
      const pitch = pitchAt(slow.samples, slow.sampleRate, Math.floor((index * STEP_MS * slow.sampleRate) / 1000))
      if (pitch !== undefined) own.push(pitch)
    }
    pitchesHz.push(...own)
    const levelDb = decibels(power(samples, from * step, (to - from) * step))
    return { startMs: from * STEP_MS, endMs: to * STEP_MS, pitchHz: median(own), levelDb }
  })
  const loud = levels.filter((_, index) => heard[index])
  const meanPower = loud.reduce((sum, level) => sum + 10 ** (level / 10), 0) / Math.max(1, loud.length)
  return {
    share: steps === 0 ? 0 : heardCount / steps,
    segments,
    pitchesHz,
    levelDb: decibels(loud.length === 0 ? power(samples, 0, samples.length) : meanPower),
  }
}

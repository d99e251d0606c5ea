import { spectrumOf } from './fourier.ts'

const FRAME = 512
const STEPS_PER_SECOND = 100
const SLOWEST_BPM = 60
const FASTEST_BPM = 200
/** People tap near this when several tempi fit. */
const PREFERRED_BPM = 120
const SHORTEST_SECONDS = 3
/** How much of the onsets' variance must repeat after one beat. */
const WEAKEST_BEAT = 0.15

/** How much louder each step is than the one before, summed over the frequencies. */
function onsetsOf(samples: Float32Array, sampleRate: number): Float64Array {
  const spectrum = spectrumOf(FRAME)
  const hop = sampleRate / STEPS_PER_SECOND
  const steps = Math.max(0, Math.floor((samples.length - FRAME) / hop))
  const onsets = new Float64Array(steps)
  const before = new Float64Array(FRAME / 2)
  for (let step = 0; step < steps; step += 1) {
    const magnitudes = spectrum(samples, Math.round(step * hop))
    let rise = 0
    for (let bin = 1; bin < magnitudes.length; bin += 1) {
      const level = Math.log1p((magnitudes[bin] ?? 0) * 10)
      rise += Math.max(0, level - (before[bin] ?? 0))
      before[bin] = level
    }
    // The first frame rises from nothing, which is no beat.
    onsets[step] = step === 0 ? 0 : rise
  }
  return onsets
}

function correlation(values: Float64Array, lag: number): number {
  let sum = 0
  for (let index = lag; index < values.length; index += 1) sum += (values[index] ?? 0) * (values[index - lag] ?? 0)
  return sum / Math.max(1, values.length - lag)
}

/** Beats a minute by the autocorrelation of the onsets; undefined where nothing repeats. */
export function tempoOf(samples: Float32Array, sampleRate: number): number | undefined {
  if (samples.length < SHORTEST_SECONDS * sampleRate) return undefined
  const onsets = onsetsOf(samples, sampleRate)
  const mean = onsets.reduce((sum, value) => sum + value, 0) / onsets.length
  const varying = onsets.map((value) => value - mean)
  const variance = correlation(varying, 0)
  if (variance < 1e-3) return undefined
  const lagOf = (bpm: number) => (60 * STEPS_PER_SECOND) / bpm
  const strengthAt = (lag: number) => correlation(varying, lag) / variance
  let best = { lag: 0, score: 0 }
  for (let lag = Math.floor(lagOf(FASTEST_BPM)); lag <= Math.ceil(lagOf(SLOWEST_BPM)); lag += 1) {
    const preference = Math.exp(-0.5 * (Math.log2(lag / lagOf(PREFERRED_BPM)) / 0.9) ** 2)
    const score = strengthAt(lag) * preference
    if (score > best.score) best = { lag, score }
  }
  if (best.lag === 0 || strengthAt(best.lag) < WEAKEST_BEAT) return undefined
  return lagOf(peakNear(best.lag, strengthAt))
}

/** The top of the parabola through a value and its neighbours. */
export function peakNear(at: number, valueAt: (index: number) => number): number {
  const [left, middle, right] = [valueAt(at - 1), valueAt(at), valueAt(at + 1)]
  const bend = left - 2 * middle + right
  if (bend >= 0) return at
  return at + Math.max(-0.5, Math.min(0.5, (0.5 * (left - right)) / bend))
}

import { spectrumOf } from './fourier.ts'

const FRAME = 8192
const LOWEST_HZ = 65
const HIGHEST_HZ = 2000
const names = ['C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B']
/** Krumhansl and Kessler, 1982: how well each of the twelve tones fits a key on the first. */
const profiles = {
  major: [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
  minor: [6.33, 2.68, 3.52, 5.38, 2.6, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
}
const WEAKEST_FIT = 0.6
/** Below this mean magnitude there is nothing to hear. */
const SILENCE = 1e-3

/** How strong each of the twelve tones is over all octaves: the peaks of the spectrum only, noise has none that stay. */
function chromaOf(samples: Float32Array, sampleRate: number): number[] {
  const chroma = new Array<number>(12).fill(0)
  const spectrum = spectrumOf(FRAME)
  const low = Math.ceil((LOWEST_HZ * FRAME) / sampleRate)
  const high = Math.min(FRAME / 2 - 2, Math.floor((HIGHEST_HZ * FRAME) / sampleRate))
  for (let from = 0; from + FRAME <= samples.length; from += FRAME / 2) {
    const magnitudes = spectrum(samples, from)
    for (let bin = low; bin <= high; bin += 1) {
      const here = magnitudes[bin] ?? 0
      if (here < SILENCE || here < (magnitudes[bin - 1] ?? 0) || here < (magnitudes[bin + 1] ?? 0)) continue
      const tone = Math.round(69 + 12 * Math.log2((bin * sampleRate) / FRAME / 440))
      chroma[tone % 12] = (chroma[tone % 12] ?? 0) + here
    }
  }
  return chroma
}

function fitOf(left: readonly number[], right: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [leftMean, rightMean] = [mean(left), mean(right)]
  let [both, leftOnly, rightOnly] = [0, 0, 0]
  for (let index = 0; index < left.length; index += 1) {
    const a = (left[index] ?? 0) - leftMean
    const b = (right[index] ?? 0) - rightMean
    both += a * b
    leftOnly += a * a
    rightOnly += b * b
  }
  return leftOnly === 0 || rightOnly === 0 ? 0 : both / Math.sqrt(leftOnly * rightOnly)
}

/** Such as `C major` or `F# minor`; undefined where no key fits. */
export function keyOf(samples: Float32Array, sampleRate: number): string | undefined {
  const chroma = chromaOf(samples, sampleRate)
  let best: { name: string | undefined; fit: number } = { name: undefined, fit: WEAKEST_FIT }
  for (const [tonic, name] of names.entries()) {
    const turned = chroma.map((_, index) => chroma[(index + tonic) % 12] ?? 0)
    for (const [mode, profile] of Object.entries(profiles)) {
      const fit = fitOf(turned, profile)
      if (fit > best.fit) best = { name: `${name} ${mode}`, fit }
    }
  }
  return best.name
}

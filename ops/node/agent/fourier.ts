/** Magnitudes of `size / 2` frequencies of a frame under a Hann window; `size` is a power of two. */
export type Spectrum = (samples: Float32Array, from: number) => Float64Array

/** In-place radix-2 transform. */
function transform(real: Float64Array, imaginary: Float64Array, turns: { cos: Float64Array; sin: Float64Array }): void {
  const size = real.length
  for (let half = 1, stride = size / 2; half < size; half *= 2, stride /= 2) {
    for (let start = 0; start < size; start += 2 * half) {
      for (let offset = 0; offset < half; offset += 1) {
        const low = start + offset
        const high = low + half
        const cos = turns.cos[offset * stride] ?? 0
        const sin = turns.sin[offset * stride] ?? 0
        const highReal = real[high] ?? 0
        const highImaginary = imaginary[high] ?? 0
        const turnedReal = highReal * cos + highImaginary * sin
        const turnedImaginary = highImaginary * cos - highReal * sin
        const lowReal = real[low] ?? 0
        const lowImaginary = imaginary[low] ?? 0
        real[high] = lowReal - turnedReal
        imaginary[high] = lowImaginary - turnedImaginary
        real[low] = lowReal + turnedReal
        imaginary[low] = lowImaginary + turnedImaginary
      }
    }
  }
}

function reversedBits(size: number): Uint32Array {
  const places = new Uint32Array(size)
  for (let index = 1; index < size; index += 1) {
    places[index] = ((places[index >> 1] ?? 0) >> 1) | (index & 1 ? size >> 1 : 0)
  }
  return places
}

/** A transform for frames of this size. The array that it returns is used again by the next call. */
export function spectrumOf(size: number): Spectrum {
  const real = new Float64Array(size)
  const imaginary = new Float64Array(size)
  const magnitudes = new Float64Array(size / 2)
  const places = reversedBits(size)
  const turn = (index: number) => (2 * Math.PI * index) / size
  const window = Float64Array.from({ length: size }, (_, index) => 0.5 - 0.5 * Math.cos(turn(index)))
  const cos = Float64Array.from({ length: size / 2 }, (_, index) => Math.cos(turn(index)))
  const sin = Float64Array.from({ length: size / 2 }, (_, index) => Math.sin(turn(index)))
  return (samples, from) => {
    imaginary.fill(0)
    for (let index = 0; index < size; index += 1) {
      real[places[index] ?? 0] = (samples[from + index] ?? 0) * (window[index] ?? 0)
    }
    transform(real, imaginary, { cos, sin })
    for (let index = 0; index < magnitudes.length; index += 1) {
      magnitudes[index] = Math.hypot(real[index] ?? 0, imaginary[index] ?? 0)
    }
    return magnitudes
  }
}

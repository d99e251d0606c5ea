/**
 * Text as tones, so that what the demo node says can be heard again word for word. Under the tones lies the pitch of a
 * voice. A sentence is: a marker, how long a place for four bits is, its number of bytes, the bytes (UTF-8), a checksum.
 */

export const SPOKEN_RATE = 24_000
const TONE_SECONDS = 0.02
const MARK_HZ = 2700
const START_HZ = 2900
const LOWEST_HZ = 1000
const SPACING_HZ = 100
const TONE_LEVEL = 0.12
const VOICE_LEVEL = 0.25
const SLOT_SECONDS = 0.04
/** The length of a place is said in steps of this above the length of a tone. */
const SLOT_STEP_SECONDS = 0.01
export const SENTENCE_GAP_SECONDS = 0.3
const QUIETEST_MARK = 0.01
/** How much louder than the mean of the others a tone has to be. */
const CLEARLY = 4

/** A sentence that was heard, with its place in seconds. */
export type HeardSentence = { text: string; start: number; end: number }

/** Sentences with their ends and the blanks after them: joined again they are the text. */
export function sentencesOf(text: string): string[] {
  return text.match(/[\s\S]+?(?:[.!?]+(?=\s|$)|\n|$)\s*/g) ?? []
}

function checksum(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => (sum * 31 + byte + 1) & 0xff, 7)
}

const nibbles = (bytes: Uint8Array): number[] => [...bytes].flatMap((byte) => [byte >> 4, byte & 15])
const hzOf = (nibble: number): number => LOWEST_HZ + nibble * SPACING_HZ

/** How many steps the place of a tone is longer than the tone; faster than twice cannot be heard again. */
function slotSteps(speed: number): number {
  return Math.max(0, Math.min(15, Math.round((SLOT_SECONDS / speed - TONE_SECONDS) / SLOT_STEP_SECONDS)))
}

/** The samples of one sentence at 24 kHz, with the gap after it. */
export function speakSentence(sentence: string, { pitchHz, speed }: { pitchHz: number; speed: number }): Float32Array {
  const bytes = new TextEncoder().encode(sentence).subarray(0, 0xffff)
  const steps = slotSteps(speed)
  const tone = TONE_SECONDS * SPOKEN_RATE
  const slot = Math.round(tone + steps * SLOT_STEP_SECONDS * SPOKEN_RATE)
  const head = [MARK_HZ, MARK_HZ, START_HZ, hzOf(steps)]
  const length = Uint8Array.of(bytes.length >> 8, bytes.length & 0xff)
  const data = [...nibbles(length), ...nibbles(bytes), ...nibbles(Uint8Array.of(checksum(bytes)))]
  const spoken = head.length * tone + data.length * slot
  const samples = new Float32Array(spoken + Math.round(SENTENCE_GAP_SECONDS * SPOKEN_RATE))
  const turn = (2 * Math.PI) / SPOKEN_RATE
  for (let index = 0; index < spoken; index += 1) {
    samples[index] = VOICE_LEVEL * (Math.sin(turn * pitchHz * index) + 0.3 * Math.sin(turn * 2 * pitchHz * index))
  }
  const add = (hz: number, from: number) => {
    for (let index = 0; index < tone; index += 1) {
      samples[from + index] = (samples[from + index] ?? 0) + TONE_LEVEL * Math.sin(turn * hz * index)
    }
  }
  for (const [place, hz] of head.entries()) add(hz, place * tone)
  for (const [place, nibble] of data.entries()) add(hzOf(nibble), head.length * tone + place * slot)
  return samples
}

type Ear = (hz: number, from: number) => number

/** How strong a tone is in the 20 ms from a sample on. */
function earOf(samples: Float32Array, sampleRate: number): { ear: Ear; length: number } {
  const length = Math.round(TONE_SECONDS * sampleRate)
  const tables = new Map<number, { cos: Float64Array; sin: Float64Array }>()
  const tableOf = (hz: number) => {
    const known = tables.get(hz)
    if (known) return known
    const turn = (2 * Math.PI * hz) / sampleRate
    const window = (index: number) => 0.5 - 0.5 * Math.cos((2 * Math.PI * index) / length)
    const made = {
      cos: Float64Array.from({ length }, (_, index) => window(index) * Math.cos(turn * index)),
      sin: Float64Array.from({ length }, (_, index) => window(index) * Math.sin(turn * index)),
    }
    tables.set(hz, made)
    return made
  }
  const ear: Ear = (hz, from) => {
    const { cos, sin } = tableOf(hz)
    let [real, imaginary] = [0, 0]
    for (let index = 0; index < length; index += 1) {
      const sample = samples[from + index] ?? 0
      real += sample * (cos[index] ?? 0)
      imaginary += sample * (sin[index] ?? 0)
    }
    return (4 * Math.hypot(real, imaginary)) / length
  }
  return { ear, length }
}

/** The tone that is heard clearly above the others; undefined where none is, as in other sounds. */
function clearNibble(ear: Ear, from: number): number | undefined {
  let [best, nibble, sum] = [0, 0, 0]
  for (let candidate = 0; candidate < 16; candidate += 1) {
    const level = ear(hzOf(candidate), from)
    sum += level
    if (level > best) [best, nibble] = [level, candidate]
  }
  const others = (sum - best) / 15
  return best > QUIETEST_MARK && best > CLEARLY * others ? nibble : undefined
}

/** Where the start tone after a mark begins, to half a millisecond; undefined when there is none. */
function startAfter(ear: Ear, mark: number, sampleRate: number): number | undefined {
  const fine = Math.max(1, Math.round(sampleRate / 2000))
  let best = { at: 0, level: QUIETEST_MARK }
  for (let at = mark; at < mark + 0.05 * sampleRate; at += fine) {
    const level = ear(START_HZ, at)
    if (level > best.level) best = { at, level }
  }
  return best.level > QUIETEST_MARK && best.level > 2 * ear(MARK_HZ, best.at) ? best.at : undefined
}

type Decoded = { text: string; endSample: number }

function readSentence(ear: Ear, startTone: number, sampleRate: number): Decoded | undefined {
  const tone = TONE_SECONDS * sampleRate
  const steps = clearNibble(ear, Math.round(startTone + tone))
  if (steps === undefined) return undefined
  const slot = tone + steps * SLOT_STEP_SECONDS * sampleRate
  const dataAt = startTone + 2 * tone
  const byteAt = (place: number): number | undefined => {
    const from = dataAt + place * 2 * slot
    const high = clearNibble(ear, Math.round(from))
    const low = high === undefined ? undefined : clearNibble(ear, Math.round(from + slot))
    return high === undefined || low === undefined ? undefined : (high << 4) | low
  }
  const bytes: number[] = []
  // Two bytes of length before the text, one of checksum after it.
  for (let count = 3; bytes.length < count; ) {
    const byte = byteAt(bytes.length)
    if (byte === undefined) return undefined
    bytes.push(byte)
    if (bytes.length === 2) count = 3 + (((bytes[0] ?? 0) << 8) | byte)
  }
  const text = Uint8Array.from(bytes.slice(2, -1))
  if (bytes.at(-1) !== checksum(text)) return undefined
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    return { text: decoder.decode(text), endSample: Math.round(dataAt + bytes.length * 2 * slot) }
  } catch {
    return undefined
  }
}

/** Every sentence of the demo node that can be heard in the samples, in order. */
export function hearSentences(samples: Float32Array, sampleRate: number): HeardSentence[] {
  const { ear, length } = earOf(samples, sampleRate)
  const heard: HeardSentence[] = []
  const step = Math.round(length / 4)
  for (let at = 0; at + length <= samples.length; ) {
    const level = ear(MARK_HZ, at)
    const startTone =
      level > QUIETEST_MARK && level > 4 * ear(hzOf(8), at) ? startAfter(ear, at, sampleRate) : undefined
    const sentence = startTone === undefined ? undefined : readSentence(ear, startTone, sampleRate)
    if (sentence) heard.push({ text: sentence.text, start: at / sampleRate, end: sentence.endSample / sampleRate })
    at = sentence ? sentence.endSample : at + step
  }
  return heard
}

import { deflateSync } from 'node:zlib'
import { analyse, type Measures } from '../../../../ops/node/agent/measure.ts'
import { monoOf, parseWav } from '../../../../ops/node/agent/sound.ts'
import { demoMark } from '../answer.ts'
import { httpFailure } from '../failures.ts'
import { containerOf, guessedSeconds } from './bytes.ts'
import { WORDS_TAG } from './encode.ts'
import { languageOf } from './language.ts'
import { type HeardSentence, hearSentences } from './tone-text.ts'

export type Word = { word: string; start: number; end: number; probability: number }

/** Seconds, as Whisper's servers answer them. */
export type Segment = {
  id: number
  seek: number
  start: number
  end: number
  text: string
  tokens: number[]
  temperature: number
  avg_logprob: number
  compression_ratio: number
  no_speech_prob: number
  words: Word[] | null
}

export type Transcript = { text: string; language: string; duration: number; segments: Segment[] }

const EAR_RATE = 24_000
const SILENCE_LUFS = -60

/** Whisper's sign of a loop: how well the text can be packed. */
function compressionRatio(text: string): number {
  const bytes = Buffer.from(text)
  return bytes.length === 0 ? 0 : Number((bytes.length / deflateSync(bytes).length).toFixed(3))
}

/** The words share the time of their sentence by their lengths. */
function wordsOf({ text, start, end }: HeardSentence): Word[] {
  const secondsPerCharacter = (end - start) / Math.max(1, text.length)
  return [...text.matchAll(/\S+/g)].map((match) => ({
    word: match[0],
    start: Number((start + match.index * secondsPerCharacter).toFixed(3)),
    end: Number((start + (match.index + match[0].length) * secondsPerCharacter).toFixed(3)),
    probability: 0.99,
  }))
}

type Sureness = { avg_logprob: number; no_speech_prob: number; temperature: number }

function segmentsOf(sentences: readonly HeardSentence[], sureness: Sureness): Segment[] {
  return sentences.map((sentence, id) => ({
    id,
    seek: 0,
    start: Number(sentence.start.toFixed(3)),
    end: Number(sentence.end.toFixed(3)),
    text: sentence.text,
    tokens: [],
    ...sureness,
    compression_ratio: compressionRatio(sentence.text),
    words: wordsOf(sentence),
  }))
}

function describe(measures: Measures): string {
  const seconds = (measures.duration_ms / 1000).toFixed(1)
  const pitch = measures.prosody.pitch_mean_hz
  const voice = pitch === null ? 'no pitch' : `a pitch of ${Math.round(pitch)} Hz`
  const facts = `${seconds} seconds at ${measures.loudness_lufs.toFixed(1)} LUFS with ${voice}`
  return `${demoMark} This is not a transcription: no speech model runs here. I measured ${facts}.`
}

function wordsInTag(bytes: Buffer): string | undefined {
  const mark = Buffer.from(`${WORDS_TAG}\0`)
  const at = bytes.indexOf(mark)
  if (at < 0 || bytes.toString('latin1', 0, 3) !== 'ID3') return undefined
  const size = [...bytes.subarray(6, 10)].reduce((sum, byte) => (sum << 7) | byte, 0)
  return bytes.toString('utf8', at + mark.length, 10 + size)
}

function hearWav(bytes: Buffer): { sentences: HeardSentence[]; duration: number; isSilent: boolean } {
  const sound = parseWav(bytes)
  if (!sound) throw httpFailure(415, 'Failed to decode audio. The provided file type is not supported.')
  const duration = (sound.channels[0]?.length ?? 0) / sound.sampleRate
  const { sampleRate, samples } = monoOf(sound, EAR_RATE)
  const spoken = hearSentences(samples, sampleRate)
  if (spoken.length > 0) return { sentences: spoken, duration, isSilent: false }
  const { measures } = analyse(sound)
  const sentences = [{ text: describe(measures), start: 0, end: duration }]
  return { sentences, duration, isSilent: measures.loudness_lufs < SILENCE_LUFS || measures.speech_share === 0 }
}

/**
 * What the demo node makes of a recording: the words, if it spoke them itself; else what it measured; of silence and
 * noise nothing.
 *
 * @throws HttpFailure 400 for an empty file, 415 for bytes that are no recording.
 */
export function hear(bytes: Buffer, wanted: { language: string | undefined; temperature: number }): Transcript {
  if (bytes.length === 0) throw httpFailure(400, 'Failed to decode audio. The provided file is likely empty.')
  const container = containerOf(bytes)
  if (!container) throw httpFailure(415, 'Failed to decode audio. The provided file type is not supported.')
  const { temperature } = wanted
  if (container === 'WAV') {
    const { sentences, duration, isSilent } = hearWav(bytes)
    if (!isSilent) return transcriptOf(segmentsOf(sentences, { ...sure, temperature }), duration, wanted.language)
    const nothing = [{ text: '', start: 0, end: duration }]
    return transcriptOf(segmentsOf(nothing, { ...unsure, temperature }), duration, wanted.language)
  }
  const words = container === 'MP3' ? wordsInTag(bytes) : undefined
  const duration = guessedSeconds(bytes)
  const said = `${demoMark} This is not a transcription: no speech model runs here. I received ${container} of ${bytes.length} bytes.`
  const sentences = [{ text: words ?? said, start: 0, end: duration }]
  return transcriptOf(segmentsOf(sentences, { ...sure, temperature }), duration, wanted.language)
}

const sure = { avg_logprob: -0.1, no_speech_prob: 0.01 }
const unsure = { avg_logprob: -1.2, no_speech_prob: 0.95 }

function transcriptOf(segments: Segment[], duration: number, language: string | undefined): Transcript {
  const text = segments
    .map((segment) => segment.text)
    .join('')
    .trim()
  return { text, language: language ?? languageOf(text), duration: Number(duration.toFixed(3)), segments }
}

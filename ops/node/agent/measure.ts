import { keyOf } from './key.ts'
import { loudnessOf } from './loudness.ts'
import { tempoOf } from './rhythm.ts'
import { durationMsOf, monoOf, type Sound } from './sound.ts'
import { type VoiceSegment, voicesOf } from './voice.ts'

/** What is measured of a sound, as `POST /v1/audio/measure` answers. */
export type Measures = {
  duration_ms: number
  sample_rate: number
  channels: number
  /** 0 to 1: where a voice, or an instrument, may be heard; neither silence nor noise. */
  speech_share: number
  /** ITU-R BS.1770-5; -70 for silence. */
  loudness_lufs: number
  tempo_bpm: number | null
  key: string | null
  prosody: {
    pitch_mean_hz: number | null
    /** Between the 5th and the 95th of a hundred. */
    pitch_range_hz: number | null
    /** Below full scale. */
    energy_db: number
    pauses_per_minute: number
  }
}

export type Analysis = { measures: Measures; segments: readonly VoiceSegment[] }

const ANALYSIS_RATE = 16_000
const PITCH_RATE = 8_000
/** Tempo and key are those of the first minutes. */
const MUSIC_SECONDS = 300

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits))
const orNull = (value: number | undefined, digits: number): number | null =>
  value === undefined ? null : rounded(value, digits)

function pitchFacts(pitchesHz: readonly number[]): { mean: number | undefined; range: number | undefined } {
  const sorted = [...pitchesHz].sort((left, right) => left - right)
  if (sorted.length === 0) return { mean: undefined, range: undefined }
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  return { mean: sorted.reduce((sum, pitch) => sum + pitch, 0) / sorted.length, range: at(0.95) - at(0.05) }
}

/** Everything that is measured, and where voices were heard. */
export function analyse(sound: Sound): Analysis {
  const { sampleRate, samples } = monoOf(sound, ANALYSIS_RATE)
  const voices = voicesOf(samples, sampleRate, monoOf(sound, PITCH_RATE))
  const music = samples.subarray(0, MUSIC_SECONDS * sampleRate)
  const pitch = pitchFacts(voices.pitchesHz)
  const durationMs = durationMsOf(sound)
  const pauses = Math.max(0, voices.segments.length - 1)
  const measures = {
    duration_ms: durationMs,
    sample_rate: sound.sampleRate,
    channels: sound.channels.length,
    speech_share: rounded(voices.share, 4),
    loudness_lufs: rounded(loudnessOf(sound), 2),
    tempo_bpm: orNull(tempoOf(music, sampleRate), 1),
    key: keyOf(music, sampleRate) ?? null,
    prosody: {
      pitch_mean_hz: orNull(pitch.mean, 1),
      pitch_range_hz: orNull(pitch.range, 1),
      energy_db: rounded(voices.levelDb, 1),
      pauses_per_minute: durationMs === 0 ? 0 : rounded((pauses * 60_000) / durationMs, 2),
    },
  }
  return { measures, segments: voices.segments }
}

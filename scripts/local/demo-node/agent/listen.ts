import { type Analysis, analyse, type Measures } from '../../../../ops/node/agent/measure.ts'
import { parseWav } from '../../../../ops/node/agent/sound.ts'
import type { VoiceSegment } from '../../../../ops/node/agent/voice.ts'
import { httpFailure } from '../failures.ts'
import { hashText } from '../pieces.ts'

export function analysisOf(bytes: Buffer): Analysis {
  const sound = parseWav(bytes)
  if (!sound) throw httpFailure(415, 'The demo node measures WAV with PCM only: there is no decoder here.')
  return analyse(sound)
}

export type Score = { label: string; score: number }

const usualLabels = ['speech', 'music', 'noise', 'silence', 'calm', 'excited', 'sad', 'happy', 'angry', 'neutral']

/** How loud, how high, how much voice and how much beat: each between 0 and 1. */
function traitsOf({
  level,
  pitchHz,
  voice,
  hasBeat,
}: {
  level: number
  pitchHz: number
  voice: number
  hasBeat: boolean
}) {
  const loud = Math.max(0, Math.min(1, (level + 60) / 60))
  const high = Math.max(0, Math.min(1, (pitchHz - 80) / 220))
  return { loud, high, voice, beat: hasBeat ? 1 : 0 }
}

type Traits = ReturnType<typeof traitsOf>

const known: Readonly<Record<string, (traits: Traits) => number>> = {
  silence: ({ loud }) => (loud < 0.05 ? 6 : -4),
  noise: ({ loud, voice }) => (loud >= 0.05 && voice < 0.02 ? 5 : -3),
  speech: ({ voice, beat }) => 4 * voice - 2 * beat,
  music: ({ voice, beat }) => 3 * beat + voice - 1,
  calm: ({ loud, high }) => 2 * (1 - loud) + (1 - high),
  sad: ({ loud, high }) => 1.5 * (1 - loud) + 1.2 * (1 - high),
  excited: ({ loud, high }) => 2 * loud + 2 * high,
  happy: ({ loud, high }) => loud + 2 * high,
  angry: ({ loud, high }) => 3 * loud + 0.5 * (1 - high),
  neutral: () => 1.5,
}

function scored(traits: Traits, labels: readonly string[]): Score[] {
  const raw = labels.map((label) => known[label]?.(traits) ?? (hashText(label) % 100) / 100)
  const weights = raw.map((value) => Math.exp(value))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return labels
    .map((label, index) => ({ label, score: Number(((weights[index] ?? 0) / total).toFixed(6)) }))
    .sort((left, right) => right.score - left.score)
}

/** Labels by what was measured; of the whole and of each stretch with a voice. */
export function classify({ measures, segments }: Analysis, labels: readonly string[] = usualLabels) {
  const whole = traitsOf({
    level: measures.loudness_lufs <= -70 ? -60 : measures.prosody.energy_db,
    pitchHz: measures.prosody.pitch_mean_hz ?? 0,
    voice: measures.speech_share,
    hasBeat: measures.tempo_bpm !== null,
  })
  return {
    scores: scored(whole, labels),
    segments: segments.map((segment) => ({
      start_ms: segment.startMs,
      end_ms: segment.endMs,
      scores: scored(segmentTraits(segment, measures), labels),
    })),
  }
}

function segmentTraits({ levelDb, pitchHz }: VoiceSegment, measures: Measures): Traits {
  return traitsOf({ level: levelDb, pitchHz: pitchHz ?? 0, voice: 1, hasBeat: measures.tempo_bpm !== null })
}

/** Voices whose pitches are less than this apart, as a ratio, are one speaker's. */
const SAME_SPEAKER = 1.15

/** Splits sorted pitches at their widest gaps: into `count` groups, or at every gap that is wide enough. */
function bordersOf(pitches: readonly number[], count: number | undefined): number[] {
  const sorted = [...pitches].sort((left, right) => left - right)
  const gaps = sorted.slice(1).map((pitch, index) => ({ ratio: pitch / (sorted[index] ?? pitch), border: pitch }))
  const widest = gaps.filter(({ ratio }) => ratio > 1).sort((left, right) => right.ratio - left.ratio)
  const chosen = count === undefined ? widest.filter(({ ratio }) => ratio > SAME_SPEAKER) : widest.slice(0, count - 1)
  return chosen.map(({ border }) => border)
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** How much nearer each pitch is to its own group than to the nearest other, -1 to 1; null with fewer than two groups. */
function silhouetteOf(points: readonly { speaker: string; value: number }[]): number | null {
  const groups = Map.groupBy(points, ({ speaker }) => speaker)
  if (groups.size < 2) return null
  const distanceTo = (value: number, group: readonly { value: number }[]) =>
    mean(group.map((other) => Math.abs(other.value - value)))
  const each = points.map(({ speaker, value }) => {
    const others = [...groups].filter(([name]) => name !== speaker).map(([, group]) => distanceTo(value, group))
    const [own, nearest] = [distanceTo(value, groups.get(speaker) ?? []), Math.min(...others)]
    return (nearest - own) / Math.max(nearest, own, 1e-9)
  })
  return Number(mean(each).toFixed(4))
}

/** Who speaks when, by pitch alone. */
export function diarize({ measures, segments }: Analysis, count: number | undefined) {
  const voiced = segments.filter(({ pitchHz }) => pitchHz !== undefined)
  const borders = bordersOf(
    voiced.map(({ pitchHz }) => pitchHz ?? 0),
    count,
  )
  const names = new Map<number, string>()
  const spoken = voiced.map((segment) => {
    const group = borders.filter((border) => (segment.pitchHz ?? 0) >= border).length
    const speaker = names.get(group) ?? `SPEAKER_${String(names.size).padStart(2, '0')}`
    names.set(group, speaker)
    return { start_ms: segment.startMs, end_ms: segment.endMs, speaker, value: Math.log2(segment.pitchHz ?? 1) }
  })
  const talkMs = (id: string) =>
    spoken.filter(({ speaker }) => speaker === id).reduce((sum, segment) => sum + segment.end_ms - segment.start_ms, 0)
  return {
    duration_ms: measures.duration_ms,
    speakers: [...names.values()].map((id) => ({ id, talk_ms: talkMs(id) })),
    segments: spoken.map(({ value: _, ...segment }) => segment),
    silhouette: silhouetteOf(spoken),
  }
}

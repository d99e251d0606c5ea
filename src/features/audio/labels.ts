import * as z from 'zod'
import { Milliseconds } from './diarization.ts'

export const emotions = [
  'happy',
  'sad',
  'angry',
  'fearful',
  'surprised',
  'disgusted',
  'neutral',
  'excited',
  'calm',
  'anxious',
  'confident',
  'confused',
] as const

export const categories = [
  'speech',
  'music',
  'sound_effects',
  'ambient',
  'noise',
  'conversation',
  'lecture',
  'interview',
  'podcast',
  'song',
] as const

export const genres = [
  'jazz',
  'rock',
  'pop',
  'classical',
  'electronic',
  'hip hop',
  'rap',
  'country',
  'blues',
  'reggae',
  'folk',
  'metal',
  'punk',
  'disco',
  'funk',
  'soul',
  'r&b',
  'gospel',
  'ambient',
  'techno',
  'house',
] as const

/** One is of a voice that sings, the other of none. */
export const vocalLabels = ['singing', 'instrumental'] as const

const Score = z.object({ label: z.string().max(200), score: z.number().min(0) })
type Score = z.output<typeof Score>

/** What an agent's classifier answers. */
export const Classified = z.object({
  scores: z.array(Score).max(10_000),
  segments: z.array(z.object({ start_ms: Milliseconds, end_ms: Milliseconds, scores: z.array(Score) })).nullish(),
})
export type Classified = z.output<typeof Classified>

export type Probability = { label: string; confidence: number }

const canonical = (label: string): string =>
  label
    .toLowerCase()
    .replace(/[\s_-]+/g, ' ')
    .trim()

/**
 * Scores as probabilities over those labels alone, the likeliest first; empty where the classifier told of none of them.
 * What it says of other labels counts for nothing.
 */
export function probabilities(scores: readonly Score[], labels: readonly string[]): Probability[] {
  const byLabel = new Map(labels.map((label) => [canonical(label), { label, sum: 0 }]))
  for (const { label, score } of scores) {
    const known = byLabel.get(canonical(label))
    if (known) known.sum += score
  }
  const known = [...byLabel.values()]
  const total = known.reduce((sum, one) => sum + one.sum, 0)
  if (!(total > 0) || !Number.isFinite(total)) return []
  return known
    .map(({ label, sum }) => ({ label, confidence: sum / total }))
    .toSorted((one, other) => other.confidence - one.confidence)
}

const LEAST = 0.05

/** Those that are worth a word; the likeliest always is. */
export const detected = (all: readonly Probability[]): Probability[] =>
  all.filter(({ confidence }, at) => at === 0 || confidence >= LEAST)

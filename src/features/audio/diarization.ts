import * as z from 'zod'
import { SaidText, type Word } from './transcript.ts'

const MOST_TURNS = 20_000
/** Times beyond are of no sound. */
const MOST_MS = 1_000_000_000
export const Milliseconds = z.number().min(0).max(MOST_MS)
const SpeakerId = z.string().min(1).max(64).pipe(SaidText)

export const Diarization = z.object({
  duration_ms: Milliseconds,
  speakers: z.array(z.object({ id: SpeakerId, talk_ms: Milliseconds })).max(100),
  segments: z.array(z.object({ start_ms: Milliseconds, end_ms: Milliseconds, speaker: SpeakerId })).max(MOST_TURNS),
  silhouette: z.number().min(-1).max(1).nullish(),
})
export type Diarization = z.output<typeof Diarization>
export type Turn = Diarization['segments'][number]

/** How well the voices can be told apart, 0 to 1; null for one voice, of which nothing can be said. */
export const confidenceOfVoices = ({ silhouette }: Pick<Diarization, 'silhouette'>): number | null =>
  typeof silhouette === 'number' ? (silhouette + 1) / 2 : null

type Span = { startMs: number; endMs: number }
const overlap = ({ startMs, endMs }: Span, { start_ms, end_ms }: Turn): number =>
  Math.min(endMs, end_ms) - Math.max(startMs, start_ms)

/** Whose turn a span is: the one that it shares most time with, else the nearest. Undefined where nobody speaks at all. */
export function turnAt(turns: readonly Turn[], span: Span): number | undefined {
  let best: { at: number; shared: number } | undefined
  for (const [at, turn] of turns.entries()) {
    const shared = overlap(span, turn)
    if (!best || shared > best.shared) best = { at, shared }
  }
  return best?.at
}

/** What was said in each turn, in the order of the words. */
export function wordsByTurn(turns: readonly Turn[], words: readonly Word[]): string[] {
  const said: string[][] = turns.map(() => [])
  for (const { word, start, end } of words) {
    const at = turnAt(turns, { startMs: start * 1000, endMs: end * 1000 })
    if (at !== undefined) said[at]?.push(word.trim())
  }
  return said.map((some) => some.join(' '))
}

/** Speakers as they are shown: those who talk most first, numbered from one. */
export function speakersOf({ speakers }: Diarization) {
  const total = speakers.reduce((sum, { talk_ms }) => sum + talk_ms, 0)
  return speakers
    .toSorted((one, other) => other.talk_ms - one.talk_ms)
    .map(({ id, talk_ms }, at) => ({
      id,
      label: `Speaker ${at + 1}`,
      talk_seconds: talk_ms / 1000,
      share: total > 0 ? talk_ms / total : 0,
    }))
}

import * as z from 'zod'

const Word = z.object({ word: z.string(), start: z.number(), end: z.number() })

const Segment = z.object({
  start: z.number(),
  end: z.number(),
  text: z.string(),
  seek: z.number().nullish(),
  tokens: z.array(z.number()).nullish(),
  temperature: z.number().nullish(),
  avg_logprob: z.number().nullish(),
  compression_ratio: z.number().nullish(),
  no_speech_prob: z.number().nullish(),
  words: z.array(Word).nullish(),
})

/** What speech servers answer for `verbose_json`; some know nothing but the text. Times are seconds. */
export const NodeTranscript = z.object({
  text: z.string(),
  language: z.string().nullish(),
  duration: z.coerce.number().nullish(),
  segments: z.array(Segment).nullish(),
  words: z.array(Word).nullish(),
})
export type NodeTranscript = z.output<typeof NodeTranscript>
export type Segment = z.output<typeof Segment>
export type Word = z.output<typeof Word>

export type Transcript = {
  text: string
  language: string | undefined
  durationMs: number | undefined
  /** Undefined where the server tells none. */
  segments: readonly Segment[] | undefined
  words: readonly Word[] | undefined
}

/** From here on a model of Whisper's kind repeats itself. */
const LOOP_RATIO = 2.4
const SILENT_PROBABILITY = 0.6
const UNSURE_LOGPROB = -1

/** What is written where nothing is said: most likely silence, and not even the model is sure of its words. */
const isInvented = ({ no_speech_prob, avg_logprob }: Segment): boolean =>
  (no_speech_prob ?? 0) > SILENT_PROBABILITY && (avg_logprob ?? 0) < UNSURE_LOGPROB

/** Whether a phrase was caught in a loop, so that another temperature may do better. */
export const hasLoop = ({ segments }: NodeTranscript): boolean =>
  (segments ?? []).some((segment) => !isInvented(segment) && (segment.compression_ratio ?? 0) > LOOP_RATIO)

/** Without what was invented. A length that the server does not tell is that of the file. */
export function transcriptOf(answer: NodeTranscript, durationMs: number | undefined): Transcript {
  const told = answer.segments ?? undefined
  const segments = told?.filter((segment) => !isInvented(segment) && segment.text.trim() !== '')
  const isWhole = !told || !segments || segments.length === told.length
  const kept = segments ?? []
  const words =
    answer.words ?? (told?.some(({ words }) => words) ? kept.flatMap(({ words }) => words ?? []) : undefined)
  const isKept = ({ start, end }: Word): boolean =>
    isWhole || kept.some((segment) => start < segment.end && end > segment.start)
  return {
    text: (isWhole ? answer.text : joined(kept.map(({ text }) => text))).trim(),
    language: answer.language?.toLowerCase() || undefined,
    durationMs: answer.duration ? Math.round(answer.duration * 1000) : durationMs,
    segments,
    words: words?.filter(isKept),
  }
}

/** Segments in a row; Whisper's begin with the blank that stands before them, others without. */
export function joined(texts: readonly string[]): string {
  let text = ''
  for (const next of texts) {
    const needsBlank = text !== '' && next !== '' && !/\s$/.test(text) && !/^\s/.test(next)
    text += needsBlank ? ` ${next}` : next
  }
  return text
}

/**
 * How sure the model was, 0 to 1: the mean of how probable each segment's tokens were and that anything was said at all,
 * by the segments' lengths. Null where the server tells no probabilities, or nothing was said.
 */
export function confidenceOf({ segments = [] }: Pick<Transcript, 'segments'>): number | null {
  let sum = 0
  let seconds = 0
  for (const { avg_logprob, no_speech_prob, start, end } of segments) {
    if (typeof avg_logprob !== 'number') continue
    const length = Math.max(0, end - start)
    sum += length * Math.exp(Math.min(0, avg_logprob)) * (1 - Math.min(1, Math.max(0, no_speech_prob ?? 0)))
    seconds += length
  }
  return seconds > 0 ? sum / seconds : null
}

/** The share of the time in which something is said, by the segments; undefined where they cannot tell. */
export function spokenShare({ segments, durationMs }: Pick<Transcript, 'segments' | 'durationMs'>): number | undefined {
  if (!segments || !durationMs) return undefined
  const seconds = segments.reduce((sum, { start, end }) => sum + Math.max(0, end - start), 0)
  return Math.min(1, (seconds * 1000) / durationMs)
}

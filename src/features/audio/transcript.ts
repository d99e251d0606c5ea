import * as z from 'zod'

/** Nobody sends a sound of so many days. */
const MOST_SECONDS = 1_000_000
const MOST_PIECES = 200_000

/** What a server says is kept and sent on: without what no store takes, and no UTF-8 has. */
export const SaidText = z.string().transform((text) => text.replaceAll('\0', '').toWellFormed())

/** From the beginning of the sound. */
const Seconds = z
  .number()
  .max(MOST_SECONDS)
  .transform((seconds) => Math.max(0, seconds))

const endingLater = <T extends { start: number; end: number }>(span: T): T =>
  span.end < span.start ? { ...span, end: span.start } : span

const Word = z.object({ word: SaidText, start: Seconds, end: Seconds }).transform(endingLater)

const TimedText = z.object({
  start: Seconds,
  end: Seconds,
  text: SaidText,
  seek: z.number().nullish(),
  tokens: z.array(z.number()).nullish(),
  temperature: z.number().nullish(),
  avg_logprob: z.number().nullish(),
  compression_ratio: z.number().nullish(),
  no_speech_prob: z.number().nullish(),
  words: z.array(Word).max(MOST_PIECES).nullish(),
})
const Segment = TimedText.transform(endingLater)

/** What speech servers answer for `verbose_json`; some know nothing but the text. Times are seconds. */
export const NodeTranscript = z.object({
  text: SaidText,
  language: z.string().nullish(),
  duration: z.coerce.number().pipe(Seconds).nullish(),
  segments: z.array(Segment).max(MOST_PIECES).nullish(),
  words: z.array(Word).max(MOST_PIECES).nullish(),
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
  const told = inOrder(answer.segments)
  const segments = told?.filter((segment) => !isInvented(segment) && segment.text.trim() !== '')
  const isWhole = !told || !segments || segments.length === told.length
  const kept = segments ?? []
  const words =
    inOrder(answer.words) ?? (told?.some(({ words }) => words) ? kept.flatMap(({ words }) => words ?? []) : undefined)
  const isKept = isWhole ? () => true : touching(kept)
  return {
    text: (isWhole ? answer.text : joined(kept.map(({ text }) => text))).trim(),
    language: LANGUAGE.test(answer.language ?? '') ? answer.language?.toLowerCase() : undefined,
    durationMs: answer.duration ? Math.round(answer.duration * 1000) : durationMs,
    segments,
    words: words?.filter(isKept),
  }
}

/** Whether something shares time with one of those, which are in the order of their beginnings. */
function touching(spans: readonly Span[]): (span: Span) => boolean {
  // Of those that begin before something ends, the one that ends last tells for all.
  let latest = 0
  const latestUpTo = spans.map(({ end }) => {
    latest = Math.max(latest, end)
    return latest
  })
  return ({ start, end }) => {
    let [low, high] = [0, spans.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((spans[middle]?.start ?? 0) < end) low = middle + 1
      else high = middle
    }
    return low > 0 && (latestUpTo[low - 1] ?? 0) > start
  }
}
type Span = { start: number; end: number }

/** A code or a name: `en`, `zh-CN`, `haitian creole`. */
const LANGUAGE = /^[a-z]{2}[a-z _-]{0,30}$/i

const inOrder = <T extends { start: number }>(some: readonly T[] | null | undefined): T[] | undefined =>
  some?.toSorted((one, other) => one.start - other.start)

/** Blanks, and scripts that have none between words. */
const CLOSED_END = /[\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}、。！？]$/u
const CLOSED_START = /^[\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}、。！？]/u

/** Segments in a row; Whisper's begin with the blank that stands before them, others without. */
export function joined(texts: readonly string[]): string {
  let text = ''
  for (const next of texts) {
    const needsBlank = text !== '' && next !== '' && !CLOSED_END.test(text) && !CLOSED_START.test(next)
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

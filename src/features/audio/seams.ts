import { joined, type Transcript } from './transcript.ts'

/** What was heard in a part of a sound, when it begins, and how much of its beginning the part before has heard, too. */
export type HeardPart = { startMs: number; overlapMs: number; transcript: Transcript }

/** What was heard in each part, as one. What two have heard is there once. */
export function together(parts: readonly HeardPart[]): Transcript {
  const [first, ...others] = parts
  if (!first) return NOTHING
  let whole = first.transcript
  for (const part of others) whole = joinedTo(whole, part)
  const language = parts.find(({ transcript: { text, language } }) => text !== '' && language !== undefined)
  return { ...whole, language: language?.transcript.language ?? first.transcript.language }
}

const NOTHING: Transcript = {
  text: '',
  language: undefined,
  durationMs: undefined,
  segments: undefined,
  words: undefined,
}

function joinedTo(whole: Transcript, { startMs, overlapMs, transcript }: HeardPart): Transcript {
  const start = startMs / 1000
  const segments = moved(transcript.segments, start)
  const words = moved(transcript.words, start)
  const next: Transcript = { ...transcript, segments, words, durationMs: startMs + (transcript.durationMs ?? 0) }
  const seam = overlapMs > 0 ? atSeam(whole, next, start + overlapMs / 2000) : { before: whole, after: next }
  const { before, after } = seam
  return {
    ...after,
    text: joined([before.text, after.text]),
    segments: before.segments && after.segments && [...before.segments, ...after.segments],
    words: before.words || after.words ? [...(before.words ?? []), ...(after.words ?? [])] : undefined,
  }
}

const moved = <T extends { start: number; end: number }>(some: readonly T[] | undefined, by: number) =>
  some?.map((one) => ({ ...one, start: one.start + by, end: one.end + by }))

/** Up to the middle of what both have heard the one before is believed, from there on the other: neither at its edge. */
function atSeam(one: Transcript, other: Transcript, middle: number): { before: Transcript; after: Transcript } {
  const before = { ...one, words: one.words?.filter(({ start }) => start < middle) }
  const after = { ...other, words: other.words?.filter(({ start }) => start >= middle) }
  if (!one.segments || !other.segments) {
    const [front, back] = withoutRepeat(one.text, other.text)
    return { before: { ...before, text: front }, after: { ...after, text: back } }
  }
  const fronts = one.segments.filter(({ start }) => start < middle)
  const backs = other.segments.filter(({ end }) => end > middle)
  const [last, first] = [fronts.at(-1), backs[0]]
  if (last && first) {
    const [front, back] = withoutRepeat(last.text, first.text)
    fronts.splice(-1, 1, { ...last, text: front, end: Math.max(last.start, Math.min(last.end, first.end)) })
    if (back.trim() === '') backs.shift()
    else backs.splice(0, 1, { ...first, text: back, start: Math.min(first.end, Math.max(first.start, last.end)) })
  }
  const textOf = (segments: typeof fronts): string => joined(segments.map(({ text }) => text)).trim()
  return {
    before: { ...before, segments: fronts, text: textOf(fronts) },
    after: { ...after, segments: backs, text: textOf(backs) },
  }
}

/** Nobody says more in the seconds that two parts share. */
const MOST_SHARED = 100
const LEAST_SHARED = 3

/**
 * Two texts of which the second begins with what the first ends with: cut where the longest stretch ends that both have
 * there. Words at the very edge may be heard wrongly, and go with it; never more than what is known to be the same.
 */
export function withoutRepeat(one: string, other: string): [string, string] {
  const [end, start] = [folded(one.trimEnd().slice(-MOST_SHARED)), folded(other.slice(0, MOST_SHARED))]
  let best = { length: 0, oneEnd: 0, otherEnd: 0 }
  let above = new Uint8Array(start.length + 1)
  for (let at = 1; at <= end.length; at++) {
    const row = new Uint8Array(start.length + 1)
    for (let to = 1; to <= start.length; to++) {
      if (end[at - 1] !== start[to - 1]) continue
      const length = (above[to - 1] ?? 0) + 1
      row[to] = length
      if (isHalf(end, at)) continue
      const lost = end.length - at + (to - length)
      if (length > best.length && length >= LEAST_SHARED && lost <= length) best = { length, oneEnd: at, otherEnd: to }
    }
    above = row
  }
  if (best.length === 0) return [one, other]
  const back = wordBegun(start.slice(best.otherEnd - best.length, best.otherEnd))
  return [one.slice(0, one.trimEnd().length - (end.length - best.oneEnd) - back), other.slice(best.otherEnd - back)]
}

/** How long the word is that a stretch breaks off in: it stays whole. 0 where there is no space in it. */
function wordBegun(stretch: string): number {
  const space = stretch.search(/\s\S*$/)
  return space < 0 ? 0 : stretch.length - space - 1
}

/** Without case, but for the few letters that become longer by it. */
function folded(text: string): string {
  const lower = text.toLowerCase()
  return lower.length === text.length ? lower : text
}

/** Within a surrogate pair. */
const isHalf = (text: string, at: number): boolean => {
  const unit = text.charCodeAt(at - 1)
  return unit >= 0xd800 && unit <= 0xdbff
}

import { estimateTokens } from '../../core/tokens.ts'
import { isBoundaryBehindSpace, signAround } from './graphemes.ts'
import { headingsOf } from './headings.ts'

export type ChunkUnit = 'char' | 'token'

/** Size and overlap are in UTF-16 units of the text, or in estimated tokens. The overlap is less than half of the size. */
export type ChunkOptions = { size: number; overlap: number; unit: ChunkUnit }

/** A piece of a text: `text.slice(start, end)`. `headings` are those of the Markdown above its beginning, the widest first. */
export type Piece = { start: number; end: number; headings: readonly string[] }

const PERIOD = 0x2e
const EXCLAMATION = 0x21
const QUESTION = 0x3f
/** Of languages that put no space after them. */
const IDEOGRAPHIC_STOPS = new Set([0x3002, 0xff01, 0xff1f])
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/**
 * Cuts a text into pieces that overlap: each ends at the last end of a sentence in the second half of its window, else
 * after the last space there, else where the window ends; the next one begins at a word within the overlap. What readers
 * take for one sign is never split: a sign longer than a window is a piece of its own. An empty text has no pieces.
 */
export function chunkText(text: string, options: ChunkOptions): Piece[] {
  const headingsAt = headingsOf(text)
  const pieces: Piece[] = []
  let [start, end] = [0, 0]
  while (end < text.length) {
    const window = windowOf(text, start, options)
    end = window.end >= text.length ? text.length : cutIn(text, { start, done: end, limit: window.end })
    pieces.push({ start, end, headings: headingsAt(start) })
    start = nextStart(text, { start, end, overlap: window.overlap })
  }
  return pieces
}

type Window = { end: number /** In UTF-16 units. */; overlap: number }

/** How often the width of a window of tokens is corrected by what was estimated of it. */
const CORRECTIONS = 4
const CHARACTERS_PER_TOKEN = 4
/** A window that holds so much of what it may hold is wide enough. */
const WIDE_ENOUGH = 0.95

function windowOf(text: string, start: number, { size, overlap, unit }: ChunkOptions): Window {
  if (unit === 'char') return { end: start + size, overlap }
  const rest = text.length - start
  let width = Math.min(rest, size * CHARACTERS_PER_TOKEN)
  for (let correction = 0; correction < CORRECTIONS; correction++) {
    const tokens = estimateTokens(text.slice(start, start + width))
    if (tokens <= size && (width === rest || tokens >= size * WIDE_ENOUGH)) break
    width = Math.max(1, Math.min(rest, Math.floor((width * size) / Math.max(tokens, 1))))
  }
  while (width > 1 && estimateTokens(text.slice(start, start + width)) > size) width = Math.floor(width * WIDE_ENOUGH)
  return { end: start + width, overlap: Math.floor((width * overlap) / size) }
}

type Place = {
  start: number /** Where the piece before ends: every piece ends after it. */
  done: number
  limit: number
}

/** Where the window from `start` to `limit` is cut. */
function cutIn(text: string, place: Place): number {
  const { start, done, limit } = place
  const cut = lastCut(text, place)
  if (cut !== undefined) return cut
  const sign = signAround(text, limit, start)
  return sign.start > done ? sign.start : Math.max(sign.end, signAround(text, done + 1, start).end)
}

/** The last place past half of the window that stands behind a sentence, else behind a space. */
function lastCut(text: string, { start, done, limit }: Place): number | undefined {
  const least = Math.max(done, start + ((limit - start) >> 1))
  let space: number | undefined
  for (let at = limit; at > least; at--) {
    const code = text.charCodeAt(at - 1)
    const isGap = isSpace(code)
    if (!isGap && !IDEOGRAPHIC_STOPS.has(code)) continue
    if (endsSentence(code, text, at - 1) && isBoundaryBehindSpace(text, at)) return at
    if (isGap && space === undefined && isBoundaryBehindSpace(text, at)) space = at
  }
  return space
}

/** The sign at that place closes a sentence or a paragraph; the space after a full stop belongs to its sentence. */
function endsSentence(code: number, text: string, at: number): boolean {
  if (isSpace(code)) {
    const isLineEnd = code === LINE_FEED && text.charCodeAt(at - 1) === CARRIAGE_RETURN
    const before = text.charCodeAt(isLineEnd ? at - 2 : at - 1)
    return code === LINE_FEED ? isStop(before) || isBlankBefore(text, at) : isStop(before)
  }
  return IDEOGRAPHIC_STOPS.has(code)
}

const isStop = (code: number): boolean => code === PERIOD || code === EXCLAMATION || code === QUESTION

/** Whether the line that ends at this line feed is empty. */
function isBlankBefore(text: string, at: number): boolean {
  let before = at - 1
  while (before >= 0 && text.charCodeAt(before) !== LINE_FEED && isSpace(text.charCodeAt(before))) before -= 1
  return before >= 0 && text.charCodeAt(before) === LINE_FEED
}

/** White space at which lines may be broken. */
const isSpace = (code: number): boolean =>
  code <= 0x20
    ? code === 0x20 || (code >= 0x09 && code <= 0x0d)
    : code === 0x3000 || (code >= 0x2000 && code <= 0x200a && code !== 0x2007) || code === 0x2028 || code === 0x2029

/** The first word that begins within the overlap, else its first sign: after `start`, and not after `end`. */
function nextStart(text: string, { start, end, overlap }: { start: number; end: number; overlap: number }): number {
  const earliest = Math.max(end - overlap, start + 1)
  for (let at = earliest; at < end; at++) {
    const isWordStart = isSpace(text.charCodeAt(at - 1)) && !isSpace(text.charCodeAt(at))
    if (isWordStart && isBoundaryBehindSpace(text, at)) return at
  }
  return earliest >= end ? end : Math.min(end, signAround(text, earliest, start).end)
}

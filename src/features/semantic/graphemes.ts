/** Where a text may be cut: between what readers take for one sign, never in it. */

const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' })

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
/** Nothing below is part of a longer sign, but for the two that end a line. */
const FIRST_COMBINING = 0x300
/** How much is shown to the segmenter after the place in question, before it is shown more. */
const LOOK_AHEAD = 64

/** Letters beyond those, by script, that join nothing beside them: first and last of each run. */
const RUNS = [
  [0x370, 0x482],
  [0x5d0, 0x5ea],
  [0x620, 0x64a],
  [0x904, 0x939],
  [0xe01, 0xe30],
  [0x3001, 0x3029],
  [0x3041, 0x3096],
  [0x30a1, 0x30fa],
  [0x3400, 0x9fff],
  [0xac00, 0xd7a3],
] as const

/**
 * Letters of Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, kana, Han and whole Hangul syllables: between two of
 * them there is always a boundary. Most texts are made of little else, and the segmenter costs a thousand times more.
 */
const isPlain = (code: number): boolean =>
  code < FIRST_COMBINING || RUNS.some(([first, last]) => code >= first && code <= last)

/** Certainly a boundary, by the two signs beside it. */
function isPlainBoundary(text: string, at: number): boolean {
  const [before, after] = [text.charCodeAt(at - 1), text.charCodeAt(at)]
  if (isPlain(after)) {
    if (isPlain(before)) return !(before === CARRIAGE_RETURN && after === LINE_FEED)
    return before >= FIRST_COMBINING && before <= LAST_LATIN_MARK && !(after >= 0x904 && after <= 0x939)
  }
  return isPicture(text, at) && !isSkinTone(text, at) && (before === EMOJI_STYLE || isPicture(text, at - 2))
}

/** Marks upon letters: what follows them is a sign of its own, but for letters of scripts that join over marks. */
const LAST_LATIN_MARK = 0x36f
/** Behind a sign that can be a letter or a picture. */
const EMOJI_STYLE = 0xfe0f

/**
 * A sign from U+1F300 to U+1FAFF. Two of them in a row are one only by a joiner between them, or where the second is a
 * skin tone.
 */
function isPicture(text: string, at: number): boolean {
  const [high, low] = [text.charCodeAt(at), text.charCodeAt(at + 1)]
  if (high === 0xd83d) return low >= 0xdc00 && low <= 0xdfff
  return high === 0xd83c ? low >= 0xdf00 && low <= 0xdfff : high === 0xd83e && low >= 0xdc00 && low <= 0xdeff
}

/** The last place up to `at` between two flags of a row, which are told by counting: two letters are a flag. */
function betweenFlags(text: string, at: number, from: number): number | undefined {
  const end = isFlagLetter(text, at - 1) ? at - 1 : at
  let start = end
  while (start - 2 >= from && isFlagLetter(text, start - 2)) start -= 2
  const place = end - ((end - start) % 4)
  return place > start && isFlagLetter(text, place) ? place : undefined
}

/** U+1F1E6 to U+1F1FF. */
function isFlagLetter(text: string, at: number): boolean {
  const low = text.charCodeAt(at + 1)
  return text.charCodeAt(at) === 0xd83c && low >= 0xdde6 && low <= 0xddff
}

/** U+1F3FB to U+1F3FF. */
function isSkinTone(text: string, at: number): boolean {
  const low = text.charCodeAt(at + 1)
  return text.charCodeAt(at) === 0xd83c && low >= 0xdffb && low <= 0xdfff
}

/**
 * The sign around a place, as its two ends; both are the place itself where it is between two signs. `from` is a
 * boundary at or before it.
 */
export function signAround(text: string, at: number, from: number): { start: number; end: number } {
  if (at <= from || at >= text.length || isPlainBoundary(text, at)) return { start: at, end: at }
  const flag = betweenFlags(text, at, from)
  let known = flag ?? at - 1
  while (flag === undefined && known > from && !isPlainBoundary(text, known)) known -= 1
  for (let ahead = LOOK_AHEAD; ; ahead *= 4) {
    const shown = text.slice(known, at + ahead)
    const segment = segmenter.segment(shown).containing(at - known)
    if (segment === undefined) return { start: at, end: at }
    const start = known + segment.index
    const end = start + segment.segment.length
    if (start === at) return { start: at, end: at }
    // What ends where the shown part ends may go on.
    if (end < known + shown.length || known + shown.length === text.length) return { start, end }
  }
}

/** What becomes one sign with a space before it (Unicode Standard Annex 29: Extend, ZWJ, and more than SpacingMark). */
const JOINS_SPACE = /[\p{Grapheme_Extend}\p{Emoji_Modifier}\p{Mc}\u0e33\u0eb3]|\u200d/u

/**
 * Whether a text may be cut there, behind white space or a stop: the two signs beside it tell. Asked at every space of a
 * text, where the segmenter would have to begin far before it.
 */
export function isBoundaryBehindSpace(text: string, at: number): boolean {
  const after = text.charCodeAt(at)
  if (after < FIRST_COMBINING) return !(after === LINE_FEED && text.charCodeAt(at - 1) === CARRIAGE_RETURN)
  return !JOINS_SPACE.test(String.fromCodePoint(text.codePointAt(at) ?? 0))
}

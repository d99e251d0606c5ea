/** A speech server holds a text of that length at a time, and begins to be heard before the next is made. */
export const MOST_CHARS = 400
/** The first is short, so that something is heard soon. */
const FIRST_CHARS = 160

/** A full stop behind one of these, or behind a single letter, hardly ends a sentence. */
const SENTENCE_ENDS =
  /(?<!(?<!\p{L})(?:\p{L}|Mr|Mrs|Ms|Dr|Prof|St|Nr|No|vs|bzw|ca|etc|[eE]\.g|[iI]\.e))[.!?…。！？]+["'”’»)\]]*(?=\s|$)|[。！？]|\n/gu
const PAUSES = /[,;:–—、，；](?=\s|$)|[、，；]/gu
const BLANKS = /\s/gu

/** Blanks in a row are one; what cannot be said is left out. */
export const normalised = (text: string): string =>
  text
    .toWellFormed()
    .normalize('NFC')
    .replace(/[[\p{Cc}\p{Cf}]--[\t\n\r\u200c\u200d]]/gv, '')
    .replace(/[^\S\n]+/g, ' ')
    .replace(/ ?\n\s*/g, '\n')
    .trim()

/**
 * A text in pieces of at most 400 characters that are spoken one after another: cut behind sentences, else where there is
 * a pause, else between words, and only a word that is longer than that within. Joined again they are the text.
 */
export function spokenPieces(text: string): string[] {
  const pieces: string[] = []
  for (let rest = text; rest !== ''; ) {
    const most = pieces.length === 0 ? FIRST_CHARS : MOST_CHARS
    const end = rest.length <= most ? rest.length : (endOf(rest, most, SENTENCE_ENDS) ?? cutOf(rest))
    pieces.push(rest.slice(0, end))
    rest = rest.slice(end)
  }
  return pieces
}

const cutOf = (text: string): number => {
  if (text.length <= MOST_CHARS) return text.length
  const found =
    endOf(text, MOST_CHARS, SENTENCE_ENDS) ?? endOf(text, MOST_CHARS, PAUSES) ?? endOf(text, MOST_CHARS, BLANKS)
  return found ?? (isLow(text.charCodeAt(MOST_CHARS)) ? MOST_CHARS - 1 : MOST_CHARS)
}

const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff

/** Behind the last such place, and the blanks after it, that is within `most`; undefined where there is none. */
function endOf(text: string, most: number, places: RegExp): number | undefined {
  let end: number | undefined
  for (const { 0: found, index } of text.slice(0, most).matchAll(places)) {
    const behind = index + found.length
    // What is at the very end may only look like one.
    if (behind === most && text.length > most && !/\s/.test(text[most] ?? '')) continue
    end = behind
  }
  if (end === undefined) return undefined
  while (end < most && /\s/.test(text[end] ?? '')) end += 1
  return end
}

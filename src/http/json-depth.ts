const QUOTE = 34
const COMMA = 44
const BACKSLASH = 92
const OPEN_LIST = 91
const CLOSE_LIST = 93
const OPEN_RECORD = 123
const CLOSE_RECORD = 125

/** Index just after the string that opens at `open`, or the text's length when it never closes. */
function skipString(text: string, open: number): number {
  let quote = text.indexOf('"', open + 1)
  // A search per quote is slow where quotes are dense, and only escapes make more than one necessary.
  if (quote !== -1 && text.charCodeAt(quote - 1) !== BACKSLASH) return quote + 1
  if (quote === -1) return text.length
  let slash = quote - 1
  while (slash > open && text.charCodeAt(slash - 1) === BACKSLASH) slash--
  if ((quote - slash) % 2 === 0) return quote + 1
  for (quote++; quote < text.length; quote++) {
    const code = text.charCodeAt(quote)
    if (code === BACKSLASH) quote++
    else if (code === QUOTE) return quote + 1
  }
  return text.length
}

/** True when a text cannot nest deeper than the limit because it has too few brackets, strings included. */
function hasFewOpeners(text: string, limit: number): boolean {
  let seen = 0
  for (const opener of ['[', '{']) {
    for (let at = text.indexOf(opener); at !== -1; at = text.indexOf(opener, at + 1)) {
      if (++seen > limit) return false
    }
  }
  return true
}

/**
 * Whether arrays and objects of a JSON text nest deeper than `limit`; a scalar has depth 0, `[]` has 1.
 * Reads the text once without building anything, so that a hostile body is refused before it is parsed.
 * The answer for a text that is not JSON is exact up to its first fault, which is all a parser gets to see.
 */
export function isDeeperThan(text: string, limit: number): boolean {
  if (hasFewOpeners(text, limit)) return false
  let depth = 0
  const { length } = text
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = skipString(text, at) - 1
    else if (code < OPEN_LIST) continue
    else if (code === OPEN_LIST || code === OPEN_RECORD) {
      if (++depth > limit) return true
    } else if (code === CLOSE_LIST || code === CLOSE_RECORD) depth--
  }
  return false
}

/** Whether a JSON text has more than so many commas between its values, which is about as many values. */
export function hasMoreCommasThan(text: string, limit: number): boolean {
  // Each stands between two values, and no value is shorter than one character.
  if (text.length <= limit * 2) return false
  let commas = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) at = skipString(text, at) - 1
    else if (code === COMMA && ++commas > limit) return true
  }
  return false
}

const ESCAPES = new Set('"\\/bfnrt')
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const SPACE = /[ \t\n\r]*/y

function matchEnd(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}

/** A place in the text, and whether the grammar was still kept there. */
type Step = { at: number; ok: boolean }

function string(text: string, open: number): Step {
  let at = open + 1
  for (; at < text.length; at++) {
    const character = text.charAt(at)
    if (character === '"') return { at: at + 1, ok: true }
    if (character < ' ') return { at, ok: false }
    if (character !== '\\') continue
    const escaped = text.charAt(at + 1)
    if (escaped === 'u' && /^[\da-fA-F]{4}$/.test(text.slice(at + 2, at + 6))) at += 5
    else if (ESCAPES.has(escaped)) at++
    else return { at, ok: false }
  }
  return { at, ok: false }
}

function word(text: string, at: number, expected: string): Step {
  for (let i = 0; i < expected.length; i++) {
    if (text.charAt(at + i) !== expected.charAt(i)) return { at: at + i, ok: false }
  }
  return { at: at + expected.length, ok: true }
}

function members(text: string, open: number, close: ']' | '}'): Step {
  let at = matchEnd(SPACE, text, open + 1)
  if (text.charAt(at) === close) return { at: at + 1, ok: true }
  for (;;) {
    if (close === '}') {
      if (text.charAt(at) !== '"') return { at, ok: false }
      const name = string(text, at)
      if (!name.ok) return name
      at = matchEnd(SPACE, text, name.at)
      if (text.charAt(at) !== ':') return { at, ok: false }
      at = matchEnd(SPACE, text, at + 1)
    }
    const member = value(text, at)
    if (!member.ok) return member
    at = matchEnd(SPACE, text, member.at)
    const next = text.charAt(at)
    if (next === close) return { at: at + 1, ok: true }
    if (next !== ',') return { at, ok: false }
    at = matchEnd(SPACE, text, at + 1)
  }
}

function value(text: string, at: number): Step {
  switch (text.charAt(at)) {
    case '{':
      return members(text, at, '}')
    case '[':
      return members(text, at, ']')
    case '"':
      return string(text, at)
    case 't':
      return word(text, at, 'true')
    case 'f':
      return word(text, at, 'false')
    case 'n':
      return word(text, at, 'null')
    default: {
      const end = matchEnd(NUMBER, text, at)
      return { at: end, ok: end > at }
    }
  }
}

/**
 * Index of the first character at which a text stops being JSON (RFC 8259), or undefined when it is JSON.
 * Engines name the place in some of their messages only. Recurses: the text's depth must be known to be small.
 */
export function findJsonFault(text: string): number | undefined {
  const { at, ok } = value(text, matchEnd(SPACE, text, 0))
  if (!ok) return at
  const end = matchEnd(SPACE, text, at)
  return end === text.length ? undefined : end
}

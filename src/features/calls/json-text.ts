/** Empty lines are left to what is within: shared between the two they would be tried in every way. */
const FENCE = /^```(?:json)?[^\S\n]*\n([\s\S]*?)\n?```$/i

/**
 * The one JSON value of a model's answer: as it is, within a fence, or as the only top-level object with other text
 * around it. Undefined where there is none, or where it cannot be told which is meant.
 */
export function jsonIn(text: string): { value: unknown } | undefined {
  const trimmed = text.trim()
  const whole = parsed(trimmed) ?? parsed(FENCE.exec(trimmed)?.[1] ?? '')
  if (whole) return whole
  let found: { value: unknown } | undefined
  for (let start = trimmed.indexOf('{'); start !== -1; ) {
    const end = endOfObject(trimmed, start)
    // What is within a brace that nothing closes is part of something else.
    if (end === undefined) return undefined
    const object = parsed(trimmed.slice(start, end))
    if (object && found) return undefined
    found ??= object
    start = trimmed.indexOf('{', end)
  }
  return found
}

function parsed(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

/** Behind the brace that closes the one at `start`; undefined where none does. */
function endOfObject(text: string, start: number): number | undefined {
  let depth = 0
  let isQuoted = false
  for (let at = start; at < text.length; at += 1) {
    const sign = text[at]
    if (isQuoted) {
      if (sign === '\\') at += 1
      else if (sign === '"') isQuoted = false
    } else if (sign === '"') isQuoted = true
    else if (sign === '{') depth += 1
    else if (sign === '}') {
      depth -= 1
      if (depth === 0) return at + 1
    }
  }
  return undefined
}

/** A stretch of a text: `text.slice(start, end)`. */
export type Span = { start: number; end: number }

/**
 * Where a passage stands in a stretch of a text: the first place where all of it does, but for the width of its white
 * space, which models do not keep to. Undefined where it does not stand there.
 */
export function spanOf(text: string, passage: string, within: Span): Span | undefined {
  const words = passage.trim().split(/\s+/)
  if (words[0] === '') return undefined
  const pattern = new RegExp(words.map(literal).join('\\s+'), 'g')
  pattern.lastIndex = within.start
  const found = pattern.exec(text.slice(0, within.end))
  return found ? { start: found.index, end: found.index + found[0].length } : undefined
}

const literal = (word: string): string => word.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')

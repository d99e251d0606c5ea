import { stripVTControlCharacters } from 'node:util'

/** Picks, from what wrangler prints, the lines that someone who did not ask for everything should still see. */
export type LineFilter = (line: string) => boolean

/** Warnings and errors of the Workers, and of wrangler itself with the lines that belong to them. */
export function createLineFilter(): LineFilter {
  let inError = false
  return (raw) => {
    const line = stripVTControlCharacters(raw)
    const level = levelOf(line)
    if (level !== undefined) {
      inError = false
      return level === 'warn' || level === 'error'
    }
    const startsError = /^\s*(✘|X) \[ERROR\]|^(Uncaught|\w*Error:)/.test(line)
    // The block of an error goes on while its lines are empty or indented.
    inError = startsError || (inError && /^(\s|$)/.test(line))
    return inError && line.trim() !== ''
  }
}

/** The level of a line of the Workers' own log; undefined for anything else. */
function levelOf(line: string): string | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const entry: unknown = JSON.parse(line)
    return entry !== null && typeof entry === 'object' && 'level' in entry ? String(entry.level) : undefined
  } catch {
    return undefined
  }
}

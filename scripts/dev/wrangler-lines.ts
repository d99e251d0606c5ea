import { stripVTControlCharacters } from 'node:util'

/** What of a line of wrangler's output to show to someone who did not ask for everything; undefined for nothing. */
export type LineFilter = (line: string) => string | undefined

/** Wrangler puts this before what a Worker writes to `console.warn` and `console.error`, and before its own troubles. */
const MARK = /^\s*(?:[▲✘X] \[(WARNING|ERROR)\] )?/

/** Warnings and errors of the Workers' logs, and errors of wrangler itself with the lines that belong to them. */
export function createLineFilter(): LineFilter {
  let inError = false
  return (raw) => {
    const line = stripVTControlCharacters(raw)
    const [mark = '', kind] = MARK.exec(line) ?? []
    const entry = line.slice(mark.length)
    const level = levelOf(entry)
    if (level !== undefined) {
      inError = false
      return level === 'warn' || level === 'error' ? entry : undefined
    }
    // The block of an error goes on while its lines are empty or indented.
    inError = kind === 'ERROR' || (inError && kind === undefined && /^(\s|$)/.test(line))
    return inError && line.trim() !== '' ? line : undefined
  }
}

/** The level of an entry of the Workers' own log; undefined for anything else. */
function levelOf(text: string): string | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    const entry: unknown = JSON.parse(text)
    return entry !== null && typeof entry === 'object' && 'level' in entry ? String(entry.level) : undefined
  } catch {
    return undefined
  }
}

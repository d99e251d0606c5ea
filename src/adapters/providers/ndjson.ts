import { UpstreamError } from '../../core/models.ts'

export type LineReader = {
  /** The lines that these bytes complete, without blank ones. Throws `UpstreamError('garbage')` when one has no end. */
  push(bytes: Uint8Array): string[]
  /** The last line, when its newline is missing. */
  end(): string | undefined
}

const LINE_MAX_CHARS = 8 * 1024 * 1024

/** Reads newline-delimited JSON from bytes in any split. A carriage return before the newline is white space to JSON. */
export function createLineReader(): LineReader {
  const decoder = new TextDecoder()
  let carry = ''

  function push(bytes: Uint8Array): string[] {
    const lines: string[] = []
    const text = decoder.decode(bytes, { stream: true })
    let start = 0
    for (let feed = text.indexOf('\n'); feed >= 0; feed = text.indexOf('\n', start)) {
      const line = carry + text.slice(start, feed)
      carry = ''
      start = feed + 1
      if (line.trim() !== '') lines.push(line)
    }
    carry += text.slice(start)
    if (carry.length > LINE_MAX_CHARS) {
      throw new UpstreamError('garbage', `A line is longer than ${LINE_MAX_CHARS} characters.`)
    }
    return lines
  }

  function end(): string | undefined {
    const rest = carry + decoder.decode()
    carry = ''
    return rest.trim() === '' ? undefined : rest
  }

  return { push, end }
}

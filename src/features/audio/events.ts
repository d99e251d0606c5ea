/** Nothing that a transcript's event says is longer. */
const MOST_CHARS = 4 * 1024 * 1024

/**
 * Reads the data of server-sent events from bytes in any split (WHATWG HTML, 9.2); names and ids say nothing here.
 * Throws `RangeError` for an event without an end.
 */
export function createEventReader() {
  const decoder = new TextDecoder()
  let rest = ''
  return {
    /** What these bytes complete. */
    push(bytes: Uint8Array): string[] {
      rest += decoder.decode(bytes, { stream: true })
      // A carriage return at the end may be half of a line break.
      const whole = rest.endsWith('\r') ? rest.slice(0, -1) : rest
      const parts = whole.split(/\r\n\r\n|\n\n|\r\r/)
      rest = (parts.pop() ?? '') + rest.slice(whole.length)
      if (rest.length > MOST_CHARS) throw new RangeError('An event has no end.')
      return parts.flatMap(dataOf)
    },
    /** An event whose blank line never came: some servers forget it. */
    end: (): string[] => dataOf(rest + decoder.decode()),
  }
}

function dataOf(event: string): string[] {
  const lines = event.split(/\r\n|\n|\r/).filter((line) => line.startsWith('data:'))
  return lines.length === 0 ? [] : [lines.map((line) => line.slice(5).replace(/^ /, '')).join('\n')]
}

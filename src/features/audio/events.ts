/** Nothing that a transcript's event says is longer. */
const MOST_CHARS = 4 * 1024 * 1024
const BLANK_LINE = /\r\n\r\n|\n\n|\r\r/

/**
 * Reads the data of server-sent events from bytes in any split (WHATWG HTML, 9.2); names and ids say nothing here.
 * Throws `RangeError` for an event without an end.
 */
export function createEventReader() {
  const decoder = new TextDecoder()
  let held: string[] = []
  let heldChars = 0
  /** The end of what is held: a blank line may have begun there. */
  let edge = ''
  const hold = (text: string): void => {
    held.push(text)
    heldChars += text.length
    if (heldChars > MOST_CHARS) throw new RangeError('An event has no end.')
  }
  return {
    /** What these bytes complete. */
    push(bytes: Uint8Array): string[] {
      const text = decoder.decode(bytes, { stream: true })
      const near = edge + text
      edge = near.slice(-3)
      hold(text)
      if (!BLANK_LINE.test(near)) return []
      let rest = held.join('')
      // A carriage return at the end may be half of a line break.
      const whole = rest.endsWith('\r') ? rest.slice(0, -1) : rest
      const parts = whole.split(BLANK_LINE)
      rest = (parts.pop() ?? '') + rest.slice(whole.length)
      held = []
      heldChars = 0
      hold(rest)
      return parts.flatMap(dataOf)
    },
    /** An event whose blank line never came: some servers forget it. */
    end: (): string[] => dataOf(held.join('') + decoder.decode()),
  }
}

function dataOf(event: string): string[] {
  const lines = event.split(/\r\n|\n|\r/).filter((line) => line.startsWith('data:'))
  return lines.length === 0 ? [] : [lines.map((line) => line.slice(5).replace(/^ /, '')).join('\n')]
}

import { UpstreamError } from '../../core/models.ts'

/** One event of a server-sent event stream (WHATWG HTML §9.2): its name (`message` unless told) and its data. */
export type SseEvent = { name: string; data: string }

export type SseReader = {
  /** The events that these bytes complete. Throws `UpstreamError('garbage')` when a line or an event has no end. */
  push(bytes: Uint8Array): SseEvent[]
  /**
   * What stood at the end of the transport without its blank line. The standard drops it, but vendors do forget the
   * last newline: the caller may use it when its data is complete in itself.
   */
  end(): SseEvent | undefined
  /** Whether any field or comment of this format was seen at all. */
  readonly recognised: boolean
}

/** A single event with an image inside is a few megabytes; a line beyond this is not a chat stream. */
const LINE_MAX_CHARS = 8 * 1024 * 1024

/**
 * Reads events from bytes in any split: inside a character, a line ending or a field. Text that has no line end yet
 * is kept as a rope and searched once, so a long line in small pieces stays linear.
 */
export function createSseReader(): SseReader {
  const decoder = new TextDecoder()
  let carry = ''
  let skipLineFeed = false
  let name = ''
  let data: string | undefined
  let recognised = false

  function push(bytes: Uint8Array): SseEvent[] {
    const events: SseEvent[] = []
    let text = decoder.decode(bytes, { stream: true })
    if (text === '') return events
    if (skipLineFeed) {
      skipLineFeed = false
      if (text.charCodeAt(0) === 10) text = text.slice(1)
    }
    splitLines(text, events)
    return events
  }

  function splitLines(text: string, events: SseEvent[]): void {
    let start = 0
    let feed = text.indexOf('\n')
    let carriage = text.indexOf('\r')
    while (feed >= 0 || carriage >= 0) {
      const byCarriage = carriage >= 0 && (feed < 0 || carriage < feed)
      const end = byCarriage ? carriage : feed
      const piece = text.slice(start, end)
      readLine(carry === '' ? piece : carry + piece, events)
      carry = ''
      start = end + 1
      if (byCarriage && start === text.length) skipLineFeed = true
      if (byCarriage && feed === start) start++
      if (feed >= 0 && feed < start) feed = text.indexOf('\n', start)
      if (byCarriage) carriage = text.indexOf('\r', start)
    }
    if (start < text.length) carry += text.slice(start)
    if (carry.length > LINE_MAX_CHARS) throw tooLong()
  }

  function readLine(line: string, events: SseEvent[]): void {
    if (line === '') {
      const event = finishEvent()
      if (event !== undefined) events.push(event)
    } else if (line.startsWith('data:')) {
      const value = line.charCodeAt(5) === 32 ? line.slice(6) : line.slice(5)
      data = data === undefined ? value : `${data}\n${value}`
      recognised = true
      if (data.length > LINE_MAX_CHARS) throw tooLong()
    } else if (line.startsWith('event:')) {
      name = line.slice(6).trim()
      recognised = true
    } else if (line.startsWith(':') || /^(id|retry|data|event)(:|$)/.test(line)) {
      recognised = true
    }
  }

  function finishEvent(): SseEvent | undefined {
    const event = data === undefined ? undefined : { name: name === '' ? 'message' : name, data }
    name = ''
    data = undefined
    return event
  }

  function end(): SseEvent | undefined {
    const rest = carry + decoder.decode()
    carry = ''
    if (rest !== '') readLine(rest, [])
    return finishEvent()
  }

  return {
    push,
    end,
    get recognised() {
      return recognised
    },
  }
}

const tooLong = () => new UpstreamError('garbage', `An event is longer than ${LINE_MAX_CHARS} characters.`)

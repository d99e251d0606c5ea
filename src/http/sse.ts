/** Headers of a stream of events; nothing between us and the client may hold it back. */
export const sseHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no',
} as const

const LINE_END = /\r\n|\r|\n/

/** One event; text of several lines becomes several `data:` fields, as WHATWG's event stream format asks. */
export function sseData(text: string): string {
  if (!text.includes('\n') && !text.includes('\r')) return `data: ${text}\n\n`
  const lines = text.split(LINE_END).map((line) => `data: ${line}\n`)
  return `${lines.join('')}\n`
}

/** An event with a name. */
export const sseEvent = (name: string, text: string): string => `event: ${name}\n${sseData(text)}`

/** A line that clients ignore and proxies take for life. */
export const sseComment = (text: string): string => `: ${text.split(LINE_END).join(' ')}\n\n`

/** OpenAI's end of a stream. */
export const SSE_DONE = 'data: [DONE]\n\n'

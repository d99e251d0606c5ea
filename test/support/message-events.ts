/** An event of a stream of Anthropic's Messages, taken apart without any code of the gateway. */
export type MessageEvent = { type: string; [field: string]: unknown }

type Fields = Record<string, unknown>

/** A message as its events tell it. */
export type MessageStream = {
  events: readonly MessageEvent[]
  start: Fields | undefined
  /** Blocks in order, put together; the input of a tool stays the text that came. */
  blocks: readonly { type: string; text: string; signature: string; start: Fields }[]
  pings: number
  stopReason: string | undefined
  /** Of the last `message_delta`. */
  usage: Fields | undefined
  /** How it ended: by its own end, or by an error. */
  end: 'stopped' | 'failed'
  error: Fields | undefined
}

/** Every event of a text. Throws when it is no event stream, or an event's name is not its type. */
export function messageEvents(text: string): MessageEvent[] {
  if (!text.endsWith('\n\n')) throw new Error(`the stream ends inside an event: ${text.slice(-80)}`)
  const blocks = text.split('\n\n').slice(0, -1)
  return blocks
    .filter((block) => !block.startsWith(':'))
    .map((block) => {
      const [first = '', ...rest] = block.split('\n')
      const data = rest.map((line) => line.replace(/^data: /, '')).join('\n')
      const event: MessageEvent = JSON.parse(data)
      if (first !== `event: ${event.type}`) throw new Error(`${first} names an event of the type ${event.type}`)
      return event
    })
}

const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? { ...value } : {})
const textIn = (holder: Fields, ...names: string[]): string => {
  const found = names.map((name) => holder[name]).find((value) => typeof value === 'string')
  return typeof found === 'string' ? found : ''
}

/**
 * Puts a stream together. Throws where it breaks a rule of the wire: one start first, one open block at a time,
 * numbered in order, and one end last.
 */
export function readMessage(text: string): MessageStream {
  const events = messageEvents(text)
  const said = events.filter(({ type }) => type !== 'ping')
  const blocks: { type: string; text: string; signature: string; start: Fields }[] = []
  let open = false
  let usage: Fields | undefined
  let stopReason: string | undefined
  const rules: Record<string, (event: MessageEvent) => boolean> = {
    content_block_start: ({ index, content_block: block }) => {
      const start = fieldsOf(block)
      const isNext = !open && index === blocks.length && stopReason === undefined
      blocks.push({ type: textIn(start, 'type'), text: textIn(start, 'text', 'thinking'), signature: '', start })
      open = true
      return isNext
    },
    content_block_delta: ({ index, delta }) => {
      const current = blocks.at(-1)
      const { signature, ...fields } = fieldsOf(delta)
      if (current) current.text += textIn(fields, 'text', 'thinking', 'partial_json')
      if (current && typeof signature === 'string') current.signature += signature
      return open && index === blocks.length - 1
    },
    content_block_stop: ({ index }) => {
      const isOpen = open && index === blocks.length - 1
      open = false
      return isOpen
    },
    message_delta: ({ delta, usage: counts }) => {
      usage = fieldsOf(counts)
      stopReason = textIn(fieldsOf(delta), 'stop_reason')
      return !open
    },
    message_stop: (event) => stopReason !== undefined && event === said.at(-1),
    error: (event) => event === said.at(-1),
  }
  const [start, ...rest] = said
  const hasStart = start?.type === 'message_start'
  for (const event of hasStart ? rest : said) {
    if (!hasStart && event.type !== 'error') throw new Error(`${event.type} before message_start`)
    if (!rules[event.type]?.(event)) throw new Error(`out of order: ${JSON.stringify(event)}`)
  }
  const last = said.at(-1)
  if (last?.type !== 'message_stop' && last?.type !== 'error') throw new Error('a silent end')
  return {
    events,
    start: hasStart ? fieldsOf(start.message) : undefined,
    blocks,
    pings: events.length - said.length,
    stopReason,
    usage,
    end: last.type === 'error' ? 'failed' : 'stopped',
    error: last.type === 'error' ? fieldsOf(last.error) : undefined,
  }
}

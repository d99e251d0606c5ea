/** An event of a stream of OpenAI's Responses, taken apart without any code of the gateway. */
export type ResponseEvent = { type: string; sequence_number: number; [field: string]: unknown }

type Fields = Record<string, unknown>

/** A response as its events tell it. */
export type ResponseStream = {
  events: readonly ResponseEvent[]
  /** The first object, and the last. */
  created: Fields
  final: Fields & { output: Fields[] }
  /** Items as `output_item.done` told them, in order. */
  items: readonly Fields[]
  end: 'completed' | 'incomplete' | 'failed'
  comments: number
}

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null
const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {})

/** Every event of a text. Throws when it is no event stream, or an event's name is not its type. */
export function responseEvents(text: string): { events: ResponseEvent[]; comments: number } {
  if (!text.endsWith('\n\n')) throw new Error(`the stream ends inside an event: ${text.slice(-80)}`)
  const blocks = text.split('\n\n').slice(0, -1)
  const events = blocks
    .filter((block) => !block.startsWith(':'))
    .map((block) => {
      const [first = '', ...rest] = block.split('\n')
      const event: ResponseEvent = JSON.parse(rest.map((line) => line.replace(/^data: /, '')).join('\n'))
      if (first !== `event: ${event.type}`) throw new Error(`${first} names an event of the type ${event.type}`)
      return event
    })
  return { events, comments: blocks.length - events.length }
}

/** What tells of the pieces of an item, and what holds them together when they are done. */
const TEXTS: Readonly<Record<string, { done: string; field: string }>> = {
  'response.output_text.delta': { done: 'response.output_text.done', field: 'text' },
  'response.refusal.delta': { done: 'response.refusal.done', field: 'refusal' },
  'response.function_call_arguments.delta': { done: 'response.function_call_arguments.done', field: 'arguments' },
  'response.custom_tool_call_input.delta': { done: 'response.custom_tool_call_input.done', field: 'input' },
  'response.reasoning_summary_text.delta': { done: 'response.reasoning_summary_text.done', field: 'text' },
}
const PARTS: Readonly<Record<string, { done: string; index: string; list: string }>> = {
  'response.content_part.added': { done: 'response.content_part.done', index: 'content_index', list: 'content' },
  'response.reasoning_summary_part.added': {
    done: 'response.reasoning_summary_part.done',
    index: 'summary_index',
    list: 'summary',
  },
}
const ENDS: Readonly<Record<string, ResponseStream['end']>> = {
  'response.completed': 'completed',
  'response.incomplete': 'incomplete',
  'response.failed': 'failed',
}

type OpenItem = { item: Fields; position: number; parts: Fields[]; list: string }
type OpenPart = { done: string; index: string; at: number; textDone: boolean }

/**
 * Puts a stream together. Throws where it breaks a rule of the wire: numbers that rise one by one, one open item at a
 * time and one open part in it, whole texts that are what their pieces were, and one end last that repeats it all.
 */
export function readResponse(text: string): ResponseStream {
  const { events, comments } = responseEvents(text)
  const [created, progress, ...rest] = events
  if (created?.type !== 'response.created' || progress?.type !== 'response.in_progress') throw new Error('no beginning')
  const last = rest.pop()
  const end = last && ENDS[last.type]
  if (!last || !end) throw new Error(`ends with ${last?.type}`)
  for (const [at, { sequence_number }] of events.entries()) {
    if (sequence_number !== at) throw new Error(`event ${at} has the number ${sequence_number}`)
  }

  const items: Fields[] = []
  let item: OpenItem | undefined
  let part: OpenPart | undefined
  /** The pieces since the item or its part began. */
  let pieces = ''
  const broken = (event: ResponseEvent): never => {
    throw new Error(`out of order: ${JSON.stringify(event)}`)
  }

  for (const event of rest) {
    const { type } = event
    if (type === 'response.output_item.added') {
      const added = fieldsOf(event.item)
      if (item || event.output_index !== items.length) broken(event)
      item = { item: added, position: items.length, parts: [], list: '' }
      pieces = ''
      continue
    }
    const open: OpenItem = item ?? broken(event)
    if (event.output_index !== open.position) broken(event)
    if (type === 'response.output_item.done') {
      const done = fieldsOf(event.item)
      if (part || done.id !== open.item.id || done.type !== open.item.type) broken(event)
      if (open.list && JSON.stringify(done[open.list]) !== JSON.stringify(open.parts)) broken(event)
      if (done.type === 'function_call' && done.arguments !== pieces) broken(event)
      if (done.type === 'custom_tool_call' && done.input !== pieces) broken(event)
      items.push(done)
      item = undefined
      continue
    }
    if (event.item_id !== open.item.id) broken(event)
    const begins = PARTS[type]
    if (begins) {
      if (part || event[begins.index] !== open.parts.length) broken(event)
      part = { ...begins, at: open.parts.length, textDone: false }
      open.list = begins.list
      pieces = ''
    } else if (part && type === part.done) {
      if (!part.textDone || event[part.index] !== part.at) broken(event)
      open.parts.push(fieldsOf(event.part))
      part = undefined
    } else if (TEXTS[type]) {
      if (part && (part.textDone || event[part.index] !== part.at)) broken(event)
      pieces += String(event.delta)
    } else if (type === 'response.output_text.annotation.added') {
      if (!part) broken(event)
    } else {
      const told = Object.values(TEXTS).find(({ done }) => done === type)
      if (!told || event[told.field] !== pieces) broken(event)
      if (part) part.textDone = true
    }
  }

  if (item) throw new Error('ends with an open item')
  const final = fieldsOf(last.response)
  const output = Array.isArray(final.output) ? final.output.map(fieldsOf) : []
  // What another wire wants back with a message may come when that is over.
  const plain = (list: readonly Fields[]) => JSON.stringify(list.map(({ extra_content: _extra, ...rest }) => rest))
  if (plain(output) !== plain(items)) throw new Error('the end repeats other items than there were')
  return { events, created: fieldsOf(created.response), final: { ...final, output }, items, end, comments }
}

/** All text of a kind in the items. */
export function saidIn(items: readonly Fields[], type: 'output_text' | 'refusal' | 'summary_text'): string {
  const parts = items.flatMap(({ content, summary }) => [content, summary].flatMap((list) => list ?? []))
  return parts
    .map(fieldsOf)
    .map((part) => (part.type === type ? String(part.text ?? part.refusal ?? '') : ''))
    .join('')
}

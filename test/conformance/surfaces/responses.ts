import { messageEvents } from '../../support/message-events.ts'
import type { End, Truth } from '../truth.ts'
import { expectedOfChat } from './chat.ts'
import {
  canonical,
  checkedCounts,
  fieldsOf,
  googleSignature,
  type Heard,
  listOf,
  type Surface,
  stringOf,
} from './surface.ts'

type Fields = Record<string, unknown>

const ends: Readonly<Record<End, string>> = {
  stop: 'completed',
  length: 'max_output_tokens',
  tool_calls: 'completed',
  content_filter: 'content_filter',
}

function countsOf(usage: Fields): number[] | undefined {
  if (usage.input_tokens === undefined) return undefined
  const { input_tokens: input, output_tokens: output, total_tokens: total } = usage
  if (Number(input) + Number(output) !== total) throw new Error('a total of other parts')
  const { cached_tokens: cached, cache_write_tokens: written } = fieldsOf(usage.input_tokens_details)
  return checkedCounts([input, cached, written, output, fieldsOf(usage.output_tokens_details).reasoning_tokens])
}

const textIn = (parts: readonly Fields[], type: string, field: string): string =>
  parts.map((part) => (part.type === type ? stringOf(part[field]) : '')).join('')

/** Reads a response that has ended. Throws when its status, its reason and its items do not go together. */
function heardOf(response: Fields): Heard {
  const { status, output, usage, object } = response
  if (object !== 'response') throw new Error('no response')
  const items = listOf(output)
  const reason = fieldsOf(response.incomplete_details).reason
  if ((status === 'completed') !== (reason === undefined)) throw new Error(`${status} because of ${reason}`)
  for (const item of items) if (item.status === 'in_progress') throw new Error('an item is still in progress')
  const parts = items.flatMap(({ type, content }) => (type === 'message' ? listOf(content) : []))
  const thoughts = items.flatMap(({ type, summary }) => (type === 'reasoning' ? listOf(summary) : []))
  const calls = items.filter(({ type }) => type === 'function_call')
  return {
    text: textIn(parts, 'output_text', 'text'),
    thoughts: textIn(thoughts, 'summary_text', 'text'),
    refusal: textIn(parts, 'refusal', 'refusal'),
    calls: calls.map(({ call_id: id, name, arguments: json }) => ({
      id: stringOf(id),
      name: stringOf(name),
      json: canonical(stringOf(json)),
    })),
    end: stringOf(reason ?? status),
    counts: countsOf(fieldsOf(usage)),
    sources: parts.flatMap(({ annotations }) => listOf(annotations).map(({ url }) => stringOf(url))),
    signatures: calls.flatMap(googleSignature),
    images: 0,
  }
}

/** Texts that grow by deltas, and the field of their last event that has all of them. */
const growing: Readonly<Record<string, string>> = {
  'response.output_text': 'text',
  'response.refusal': 'refusal',
  'response.reasoning_summary_text': 'text',
  'response.function_call_arguments': 'arguments',
  'response.custom_tool_call_input': 'input',
}

/** What is open at a moment: one item, in it at most one part, in it at most one text. */
type Reading = { done: Fields[]; item: Fields | undefined; part: boolean; text: string; grows: string | undefined }

const must = (holds: boolean, event: Fields): void => {
  if (!holds) throw new Error(`out of order: ${JSON.stringify(event)}`)
}

function readItem(reading: Reading, event: Fields): void {
  const { type, output_index: index, item } = event
  must(index === reading.done.length && !reading.part && reading.grows === undefined, event)
  if (type === 'response.output_item.added') {
    must(reading.item === undefined, event)
    reading.item = fieldsOf(item)
    return
  }
  must(reading.item !== undefined && reading.item.id === fieldsOf(item).id, event)
  reading.done.push(fieldsOf(item))
  reading.item = undefined
}

function readText(reading: Reading, event: Fields): void {
  const kind = stringOf(event.type).replace(/\.(delta|done)$/, '')
  const field = growing[kind]
  must(field !== undefined && reading.item?.id === event.item_id, event)
  must(reading.grows === undefined || reading.grows === kind, event)
  if (stringOf(event.type).endsWith('.delta')) {
    reading.grows = kind
    reading.text += stringOf(event.delta)
    return
  }
  must(event[field ?? ''] === reading.text, event)
  reading.grows = undefined
  reading.text = ''
}

function readEvent(reading: Reading, event: Fields): void {
  const type = stringOf(event.type)
  if (type.startsWith('response.output_item.')) readItem(reading, event)
  else if (/_part\.(added|done)$/.test(type)) {
    must(reading.part === type.endsWith('.done') && reading.grows === undefined, event)
    reading.part = type.endsWith('.added')
  } else if (type !== 'response.output_text.annotation.added') readText(reading, event)
}

/**
 * Every event of a stream in its place: numbered from 0 without a gap, opened by two that tell of the beginning, each
 * item and part opened and closed once and not within another, each text what its deltas said, and one end that has
 * all of it. Throws where a rule is broken; gives the last event.
 */
export function readResponse(text: string): { type: string; response: Fields } {
  const events = messageEvents(text).filter(({ type }) => type !== 'ping')
  for (const [position, event] of events.entries()) must(event.sequence_number === position, event)
  const [created, started, ...rest] = events
  if (created?.type !== 'response.created' || started?.type !== 'response.in_progress') throw new Error('no beginning')
  const last = rest.pop()
  if (!last || !/^response\.(completed|incomplete|failed)$/.test(last.type)) throw new Error('no end')
  const reading: Reading = { done: [], item: undefined, part: false, text: '', grows: undefined }
  for (const event of rest) readEvent(reading, event)
  must(reading.item === undefined, last)
  const response = fieldsOf(last.response)
  if (JSON.stringify(response.output) !== JSON.stringify(reading.done)) throw new Error('the end tells other items')
  if (last.type !== `response.${stringOf(response.status)}`) throw new Error('the end tells another status')
  return { type: last.type, response }
}

/** Thoughts are proved by what their caller asks for, and sources by the text that has them. */
function expected(truth: Truth): Omit<Heard, 'counts'> {
  const whole = expectedOfChat(truth)
  const calls = truth.said.filter((piece) => piece.kind === 'call')
  return { ...whole, end: ends[truth.end], signatures: calls.flatMap(({ signature }) => signature ?? []), images: 0 }
}

const request = (model: string) => ({ model, input: 'Hi', store: false })

/** platform.openai.com/docs/api-reference/responses */
export const responses: Surface = {
  name: 'responses',
  path: '/v1/responses',
  request,
  streamed: (model) => ({ ...request(model), stream: true }),
  whole: (body) => heardOf(fieldsOf(body)),
  stream(text) {
    const { type, response } = readResponse(text)
    if (type === 'response.failed') throw new Error(`an error: ${JSON.stringify(response.error)}`)
    return heardOf(response)
  },
  expected,
}

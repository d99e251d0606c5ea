import fc from 'fast-check'
import type { Surface } from './surfaces/surface.ts'

export type Call = { id: string; name: string; json: string }

/** One question, with what the model did about it. */
export type Exchange = {
  asked: string
  /** The base64 of a PNG. */
  image: string | undefined
  /** Said before the calls. */
  before: string
  calls: readonly Call[]
  /** What each call came to. */
  results: readonly string[]
  /** Empty where the next question came before the model went on from its results. */
  answered: string
}

/** `asked` is undefined where the model has not answered the last exchange: it is asked to go on from its results. */
export type Conversation = { instructions: string; exchanges: readonly Exchange[]; asked: string | undefined }

/** A conversation as whoever reads it understands it, one thing after the other. */
export type Told =
  | { who: 'user' | 'model' | 'instructions'; text: string }
  | { who: 'user'; image: string }
  | { who: 'model'; call: Call }
  | { who: 'tool'; id: string; text: string }

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

/** Every wire takes what has a visible character; what looks like JSON is taken for it by some. */
const text = fc
  .string({
    unit: fc.oneof(fc.constantFrom(...'{}"\\\n'), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 })),
    maxLength: 15,
  })
  .map((words) => `x${words}.`)

const args = fc
  .dictionary(
    fc.string({ maxLength: 5 }).filter((key) => key !== '__proto__'),
    fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), fc.array(text, { maxLength: 2 })),
    { maxKeys: 3 },
  )
  .map((fields) => JSON.stringify(fields))

const exchange = fc.record({
  asked: text,
  image: fc.option(fc.constant(PNG), { nil: undefined, freq: 4 }),
  before: fc.oneof(fc.constant(''), text),
  calls: fc.array(fc.record({ name: fc.constantFrom('look', 'ask', 'write'), json: args }), { maxLength: 3 }),
  results: fc.array(text, { minLength: 3, maxLength: 3 }),
  answered: text,
  interrupted: fc.boolean(),
})

export const conversation: fc.Arbitrary<Conversation> = fc
  .record({
    instructions: text,
    exchanges: fc.array(exchange, { minLength: 1, maxLength: 3 }),
    asked: fc.option(text, { nil: undefined, freq: 4 }),
  })
  .map(({ exchanges, ...rest }) => ({
    ...rest,
    exchanges: exchanges.map(({ calls, results, answered, interrupted, ...more }, turn) => ({
      ...more,
      calls: calls.map((call, position) => ({ ...call, id: `call_${turn}_${position}` })),
      results: calls.map((_call, position) => results[position] ?? ''),
      answered: interrupted && calls.length > 0 && turn < exchanges.length - 1 ? '' : answered,
    })),
  }))

/** What a reader of any wire must understand of it. */
export function toldOf({ instructions, exchanges, asked }: Conversation): Told[] {
  const turns = exchanges.flatMap((given): Told[] => [
    { who: 'user', text: given.asked },
    ...(given.image === undefined ? [] : [{ who: 'user' as const, image: given.image }]),
    ...(given.before === '' || given.calls.length === 0 ? [] : [{ who: 'model' as const, text: given.before }]),
    ...given.calls.map((call) => ({ who: 'model' as const, call })),
    ...given.calls.map(({ id }, position) => ({ who: 'tool' as const, id, text: given.results[position] ?? '' })),
    ...(given.answered === '' ? [] : [{ who: 'model' as const, text: given.answered }]),
  ])
  const told = asked === undefined ? turns.slice(0, -1) : [...turns, { who: 'user' as const, text: asked }]
  return [{ who: 'instructions', text: instructions }, ...told]
}

/** What is asked last, or the conversation without the answer that is asked for. */
const ended = (turns: readonly object[], asked: string | undefined): object[] =>
  asked === undefined ? turns.slice(0, -1) : [...turns, { role: 'user', content: asked }]

const schema = { type: 'object', additionalProperties: true }
const names = ['look', 'ask', 'write']

function chatRequest({ instructions, exchanges, asked }: Conversation) {
  const turns = exchanges.flatMap(({ asked: words, image, before, calls, results, answered }) => [
    { role: 'user', content: [{ type: 'text', text: words }, ...(image ? [chatImage(image)] : [])] },
    ...(calls.length === 0 ? [] : [{ role: 'assistant', content: before || null, tool_calls: calls.map(chatCall) }]),
    ...calls.map(({ id }, position) => ({ role: 'tool', tool_call_id: id, content: results[position] })),
    ...(answered === '' ? [] : [{ role: 'assistant', content: answered }]),
  ])
  const tools = names.map((name) => ({ type: 'function', function: { name, parameters: schema } }))
  return { messages: [{ role: 'system', content: instructions }, ...ended(turns, asked)], tools }
}

const chatImage = (base64: string) => ({ type: 'image_url', image_url: { url: `data:image/png;base64,${base64}` } })
const chatCall = ({ id, name, json }: Call) => ({ id, type: 'function', function: { name, arguments: json } })

function messagesRequest({ instructions, exchanges, asked }: Conversation) {
  const image = (data: string) => ({ type: 'image', source: { type: 'base64', media_type: 'image/png', data } })
  const messages = exchanges.flatMap(({ asked: words, image: base64, before, calls, results, answered }) => [
    { role: 'user', content: [{ type: 'text', text: words }, ...(base64 ? [image(base64)] : [])] },
    ...(calls.length === 0
      ? []
      : [
          {
            role: 'assistant',
            content: [
              ...(before === '' ? [] : [{ type: 'text', text: before }]),
              ...calls.map(({ id, name, json }) => ({ type: 'tool_use', id, name, input: JSON.parse(json) })),
            ],
          },
          {
            role: 'user',
            content: calls.map(({ id }, at) => ({ type: 'tool_result', tool_use_id: id, content: results[at] })),
          },
        ]),
    ...(answered === '' ? [] : [{ role: 'assistant', content: answered }]),
  ])
  const tools = names.map((name) => ({ name, input_schema: schema }))
  return { max_tokens: 100, system: instructions, messages: ended(messages, asked), tools }
}

function responsesRequest({ instructions, exchanges, asked }: Conversation) {
  const image = (base64: string) => ({ type: 'input_image', image_url: `data:image/png;base64,${base64}` })
  const input = exchanges.flatMap(({ asked: words, image: base64, before, calls, results, answered }) => [
    { role: 'user', content: [{ type: 'input_text', text: words }, ...(base64 ? [image(base64)] : [])] },
    ...(before === '' || calls.length === 0 ? [] : [{ role: 'assistant', content: before }]),
    ...calls.map(({ id, name, json }) => ({ type: 'function_call', call_id: id, name, arguments: json })),
    ...calls.map(({ id }, at) => ({ type: 'function_call_output', call_id: id, output: results[at] })),
    ...(answered === '' ? [] : [{ role: 'assistant', content: answered }]),
  ])
  const tools = names.map((name) => ({ type: 'function', name, parameters: schema, strict: false }))
  return { store: false, instructions, input: ended(input, asked), tools }
}

/** How the clients of each interface that knows conversations write one. */
export const writers: Partial<Record<Surface['name'], (given: Conversation) => object>> = {
  chat: chatRequest,
  messages: messagesRequest,
  responses: responsesRequest,
}

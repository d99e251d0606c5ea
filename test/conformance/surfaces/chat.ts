import { readChunks } from '../../support/client-events.ts'
import { piecesOf, type Truth, textOf } from '../truth.ts'
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

function countsOf(usage: unknown): number[] | undefined {
  if (usage === null || usage === undefined) return undefined
  const { prompt_tokens, completion_tokens, total_tokens, ...details } = fieldsOf(usage)
  const counts = checkedCounts([
    prompt_tokens,
    fieldsOf(details.prompt_tokens_details).cached_tokens,
    fieldsOf(details.prompt_tokens_details).cache_write_tokens,
    completion_tokens,
    fieldsOf(details.completion_tokens_details).reasoning_tokens,
  ])
  if (Number(prompt_tokens) + Number(completion_tokens) !== total_tokens) throw new Error('a total of other parts')
  return counts
}

const signaturesIn = (message: Fields): string[] => [
  ...listOf(message.thinking_blocks).map(({ signature, data }) => stringOf(signature ?? data)),
  ...googleSignature(message),
  ...listOf(message.tool_calls).flatMap(googleSignature),
]

function heardOf(message: Fields, end: unknown, usage: unknown): Heard {
  const calls = listOf(message.tool_calls).map(({ id, type, function: called }) => {
    if (type !== 'function' || stringOf(id) === '')
      throw new Error(`a call without type or id: ${JSON.stringify(message)}`)
    const { name, arguments: json } = fieldsOf(called)
    return { id: stringOf(id), name: stringOf(name), json: canonical(stringOf(json)) }
  })
  if (typeof end !== 'string') throw new Error('no finish reason')
  return {
    text: stringOf(message.content),
    thoughts: stringOf(message.reasoning_content),
    refusal: stringOf(message.refusal),
    calls,
    end,
    counts: countsOf(usage),
    sources: listOf(message.annotations).map(({ url_citation: cited }) => stringOf(fieldsOf(cited).url)),
    signatures: signaturesIn(message),
    images: listOf(message.images).length,
  }
}

/** Puts the deltas of a choice together as OpenAI's clients do. Throws where they could not. */
function joined(deltas: readonly Fields[]): Fields {
  const message: Fields = { content: '', reasoning_content: '', refusal: '', annotations: [], images: [] }
  const calls: Fields[] = []
  const blocks: unknown[] = []
  if (deltas[0]?.role !== 'assistant') throw new Error('the first delta has no role')
  for (const { tool_calls: fragments, ...delta } of deltas) {
    for (const field of ['content', 'reasoning_content', 'refusal']) {
      message[field] = stringOf(message[field]) + stringOf(delta[field])
    }
    for (const field of ['annotations', 'images']) message[field] = [...listOf(message[field]), ...listOf(delta[field])]
    if (delta.extra_content) message.extra_content = delta.extra_content
    blocks.push(...listOf(delta.thinking_blocks))
    for (const fragment of listOf(fragments)) addFragment(calls, fragment)
  }
  return { ...message, tool_calls: calls, thinking_blocks: blocks }
}

function addFragment(calls: Fields[], { index, function: called, ...rest }: Fields): void {
  if (typeof index !== 'number' || index > calls.length) throw new Error('a fragment of no call')
  const { name, arguments: json } = fieldsOf(called)
  const known = calls[index]
  if (known && (rest.id !== undefined || rest.type !== undefined || name !== undefined)) {
    throw new Error('a later fragment names its call')
  }
  const before = fieldsOf(known?.function)
  calls[index] = {
    ...known,
    ...rest,
    function: { name: name ?? before.name, arguments: stringOf(before.arguments) + stringOf(json) },
  }
}

/** What every chat stream must keep to. Throws when it does not. */
function checkedChunks(text: string) {
  const { chunks, done, finish, usages, errors } = readChunks(text)
  if (errors.length > 0) throw new Error(`an error: ${JSON.stringify(errors)}`)
  if (!done) throw new Error('no [DONE]')
  if ((finish[0] ?? []).length !== 1) throw new Error(`finish reasons: ${JSON.stringify(finish)}`)
  if (usages.length > 1) throw new Error('usage is told twice')
  const heads = new Set(chunks.map(({ id, created, model, object }) => JSON.stringify([id, created, model, object])))
  if (heads.size > 1) throw new Error(`several heads: ${[...heads]}`)
  const last = chunks.at(-1)
  if (usages.length === 1 && (last?.choices.length !== 0 || !last.usage)) throw new Error('usage is not last')
  return { chunks, end: finish[0]?.[0], usage: usages[0] }
}

const expected = (truth: Truth): Omit<Heard, 'counts'> => ({
  text: textOf(truth, 'text'),
  thoughts: textOf(truth, 'thought'),
  refusal: textOf(truth, 'refusal'),
  calls: piecesOf(truth, 'call').map(({ id, name, json }) => ({ id, name, json: canonical(json) })),
  end: truth.end,
  sources: piecesOf(truth, 'text').flatMap(({ source }) => source?.url ?? []),
  signatures: [
    ...truth.said.flatMap((piece) =>
      piece.kind === 'hidden' ? [piece.data] : piece.kind === 'thought' ? (piece.signature ?? []) : [],
    ),
    ...piecesOf(truth, 'call').flatMap(({ signature }) => signature ?? []),
  ],
  images: piecesOf(truth, 'image').length,
})

const request = (model: string) => ({ model, messages: [{ role: 'user', content: 'Hi' }] })

/** platform.openai.com/docs/api-reference/chat */
export const chat: Surface = {
  name: 'chat',
  path: '/v1/chat/completions',
  request,
  streamed: (model) => ({ ...request(model), stream: true, stream_options: { include_usage: true } }),
  whole(body) {
    const { choices, usage, object } = fieldsOf(body)
    const [choice, ...others] = listOf(choices)
    if (object !== 'chat.completion' || !choice || others.length > 0) throw new Error('not one choice')
    return heardOf(fieldsOf(choice.message), choice.finish_reason, usage)
  },
  stream(text) {
    const { chunks, end, usage } = checkedChunks(text)
    const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }): Fields => ({ ...delta })))
    return heardOf(joined(deltas), end, usage)
  },
  expected,
}

/** What both of OpenAI's older interfaces have in common. */
export { checkedChunks, countsOf, expected as expectedOfChat }

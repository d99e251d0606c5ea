import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { withoutForeign } from '../../../src/adapters/providers/openai-foreign.ts'
import type { ChatCompletion } from '../../../src/core/models.ts'
import { messageOf } from '../../../src/features/messages/answer.ts'
import { askedOfMessages } from '../../../src/features/messages/request.ts'
import { MessagesRequest } from '../../../src/features/messages/schema.ts'
import { requestOf } from '../../adapters/providers/anthropic-support.ts'

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((words) => words.trim() !== '')
const mark = fc.constantFrom(
  {},
  { cache_control: { type: 'ephemeral' } },
  { cache_control: { type: 'ephemeral', ttl: '1h' } },
)
const textBlock = fc.tuple(text, mark).map(([words, cached]) => ({ type: 'text', text: words, ...cached }))
const image = fc
  .tuple(
    fc.constantFrom(
      { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' },
      { type: 'url', url: 'https://example.com/a.png' },
    ),
    mark,
  )
  .map(([source, cached]) => ({ type: 'image', source, ...cached }))
const pdf = fc.constant({
  type: 'document',
  source: { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0=' },
  title: 'a.pdf',
})
const thought = fc.oneof(
  fc
    .tuple(fc.option(text, { nil: '' }), text)
    .map(([thinking, signature]) => ({ type: 'thinking', thinking, signature })),
  text.map((data) => ({ type: 'redacted_thinking', data })),
)
/** As it comes off a wire, where minus nothing is nothing. */
const input = fc
  .dictionary(
    fc.string({ maxLength: 5 }).filter((key) => key !== '__proto__'),
    fc.jsonValue({ maxDepth: 2 }),
    { maxKeys: 3 },
  )
  .map((fields) => JSON.parse(JSON.stringify(fields)))

/** One question with its thoughts, calls and results: whatever an Anthropic client sends in such turns. */
const exchange = fc.record({
  asked: fc.array(fc.oneof(textBlock, image, pdf), { minLength: 1, maxLength: 3 }),
  thoughts: fc.array(thought, { maxLength: 2 }),
  said: fc.array(textBlock, { maxLength: 2 }),
  calls: fc.array(fc.record({ name: fc.constantFrom('look', 'ask'), input, cached: mark }), {
    minLength: 1,
    maxLength: 3,
  }),
  results: fc.array(
    fc.record({
      content: fc.oneof(text, fc.array(fc.oneof(textBlock, image), { minLength: 1, maxLength: 2 })),
      failed: fc.boolean(),
    }),
    { minLength: 3, maxLength: 3 },
  ),
  after: fc.array(textBlock, { maxLength: 1 }),
})

const conversation = fc.array(exchange, { minLength: 1, maxLength: 3 }).map((exchanges) =>
  exchanges.flatMap(({ asked, thoughts, said, calls, results, after }, turn) => {
    const idOf = (position: number) => `toolu_${turn}_${position}`
    const uses = calls.map(({ name, input: given, cached }, position) => ({
      type: 'tool_use',
      id: idOf(position),
      name,
      input: given,
      ...cached,
    }))
    const answered = calls.map((_call, position) => {
      const { content, failed } = results[position] ?? { content: 'Fine.', failed: false }
      const result = { type: 'tool_result', tool_use_id: idOf(position), content }
      return failed ? { ...result, is_error: true } : result
    })
    return [
      { role: 'user', content: asked },
      { role: 'assistant', content: [...thoughts, ...said, ...uses] },
      { role: 'user', content: [...answered, ...after] },
      { role: 'assistant', content: [{ type: 'text', text: 'Done.' }] },
    ]
  }),
)

const translated = (messages: unknown) =>
  askedOfMessages(MessagesRequest.parse({ model: 'm', max_tokens: 100, messages }))

/** Text alone and the one block that says it are the same; both wires may choose. */
const plain = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]))
  const isContent = typeof fields.content === 'string'
  return isContent ? { ...fields, content: [{ type: 'text', text: fields.content }] } : fields
}

describe('a conversation there and back', () => {
  it('is what it was: nothing that both wires can say is lost or moved', () => {
    fc.assert(
      fc.property(conversation, (messages) => {
        const { body, translation } = translated(messages)
        expect(translation?.untranslated).toEqual([])
        const { body: back } = requestOf({ messages: body.messages })
        expect(plain(back.messages)).toEqual(plain(messages))
      }),
    )
  })

  it('is the same to the letter each time, and a longer one begins with the shorter', () => {
    fc.assert(
      fc.property(conversation, (messages) => {
        const whole = translated(messages).body.messages
        expect(JSON.stringify(translated(messages).body.messages)).toBe(JSON.stringify(whole))
        const shorter = translated(messages.slice(0, 3)).body.messages
        expect(JSON.stringify(whole.slice(0, shorter.length))).toBe(JSON.stringify(shorter))
      }),
    )
  })

  it('keeps every text for a vendor of OpenAI’s wire', () => {
    fc.assert(
      fc.property(conversation, (messages) => {
        const sent = JSON.stringify(withoutForeign(translated(messages).body.messages, []))
        expect(sent).not.toMatch(/"(?:cache_control|is_error|thinking_blocks)":/)
        for (const { content } of messages) {
          for (const block of content) {
            if ('text' in block) expect(sent).toContain(JSON.stringify(block.text).slice(1, -1))
          }
        }
      }),
    )
  })

  it('is what an answer becomes that its client sends back', () => {
    const reply = fc.record({
      thoughts: fc.array(thought, { maxLength: 2 }),
      said: fc.option(text, { nil: undefined }),
      given: input,
    })
    fc.assert(
      fc.property(reply, ({ thoughts, said, given }) => {
        const call = { id: 'a.b:0', type: 'function', function: { name: 'look', arguments: JSON.stringify(given) } }
        const message = {
          role: 'assistant',
          content: said ?? null,
          ...(thoughts.length > 0 && { thinking_blocks: thoughts }),
          tool_calls: [call],
        }
        const completion: ChatCompletion = {
          id: 'c',
          object: 'chat.completion',
          created: 1,
          model: 'm',
          choices: [{ index: 0, message, finish_reason: 'tool_calls' }],
        }
        const usage = { prompt: 1, cached: 0, cacheWrite: 0, completion: 1, reasoning: 0 }
        const { content } = messageOf(completion, { id: 'msg_1', usage })
        const [back] = translated([{ role: 'assistant', content }]).body.messages
        const { reasoning_content: _text, ...same }: Record<string, unknown> = back ?? {}
        expect(same).toEqual(message)
      }),
    )
  })
})

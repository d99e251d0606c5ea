import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChatMessage, StreamPart } from '../../../src/core/models.ts'
import { createCollector } from '../../../src/features/signatures/collector.ts'
import { keyOf } from '../../../src/features/signatures/keys.ts'
import { writtenIn } from '../../../src/features/signatures/message.ts'
import { signAgain, signedFrom, signedIn, textOfSigned } from '../../../src/features/signatures/signed.ts'
import { count } from '../../support/lane.ts'

const by = 'gemini/gemini-3-flash-preview'
const google = (signature: string) => ({ extra_content: { google: { thought_signature: signature } } })
const call = (id: string, input = '{"city":"Paris"}', signature?: string) => ({
  id,
  type: 'function',
  function: { name: 'look', arguments: input },
  ...(signature === undefined ? {} : google(signature)),
})
const said = (fields: Partial<ChatMessage>): ChatMessage => ({ role: 'assistant', content: null, ...fields })

async function signed(message: ChatMessage) {
  const found = await signedIn(writtenIn(message), by)
  if (!found) throw new Error('nothing is signed')
  return found
}

describe('what is signed of a message', () => {
  const blocks = [
    { type: 'thinking', thinking: 'Hm.', signature: 'EqoB' },
    { type: 'redacted_thinking', data: 'ErUB' },
  ]
  const whole = said({
    content: 'Let me look.',
    thinking_blocks: blocks,
    tool_calls: [call('call_1', '{"city":"Paris","days":[1,{"b":1,"a":2}]}', 'c2ln'), call('call_2')],
    ...google('dGV4dA=='),
  })
  const bare = said({
    content: 'Let me look.',
    tool_calls: [call('call_1', '{"city":"Paris","days":[1,{"b":1,"a":2}]}'), call('call_2')],
  })

  it('comes back to the message as it was, through storage', async () => {
    const kept = signedFrom(textOfSigned(await signed(whole)))
    expect(kept && (await signAgain(bare, kept))).toEqual(whole)
  })

  it('comes back to arguments that a client has read and written anew', async () => {
    const again = said({
      content: [{ type: 'text', text: 'Let me look.' }],
      tool_calls: [call('call_1', '{ "days": [1, {"a": 2, "b": 1}], "city": "P\\u0061ris" }'), call('call_2')],
    })
    const message = await signAgain(again, await signed(whole))
    expect(message?.tool_calls).toMatchObject([google('c2ln'), { id: 'call_2' }])
    expect(message).toMatchObject({ thinking_blocks: blocks, ...google('dGV4dA==') })
  })

  it.each([
    ['arguments', said({ tool_calls: [call('call_1', '{"city":"Rome"}')] })],
    [
      'the name',
      said({ tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'find', arguments: '{}' } }] }),
    ],
    ['the call', said({ content: 'Something else.' })],
  ])('does not come back to a call when %s changed', async (_what, message) => {
    const kept = await signed(said({ tool_calls: [call('call_1', '{"city":"Paris"}', 'c2ln')] }))
    expect(await signAgain(message, kept)).toBeUndefined()
  })

  it('does not come back to another text', async () => {
    const kept = await signed(said({ content: 'Yes.', ...google('c2ln') }))
    expect(await signAgain(said({ content: 'Yes.' }), kept)).toMatchObject(google('c2ln'))
    expect(await signAgain(said({ content: 'No.' }), kept)).toBeUndefined()
  })

  it('leaves other extra content where it is', async () => {
    const kept = await signed(said({ tool_calls: [call('call_1', '{}', 'c2ln')] }))
    const extra = { google: { other: 1 }, vendor: { more: true } }
    const message = await signAgain(said({ tool_calls: [{ ...call('call_1', '{}'), extra_content: extra }] }), kept)
    expect(message?.tool_calls).toMatchObject([
      { extra_content: { google: { other: 1, thought_signature: 'c2ln' }, vendor: { more: true } } },
    ])
  })

  it.each(['{}', '[]', 'null', '"text"', '{"by":1}'])('is nothing in %s, which nobody here has written', (text) => {
    expect(signedFrom(text)).toBeUndefined()
  })

  it('is nothing where nothing is signed', async () => {
    expect(await signedIn(writtenIn(bare), by)).toBeUndefined()
  })
})

describe('the key of what is signed', () => {
  const calls = [{ id: 'call_1', name: 'look', input: '{}' }]

  it('is the organisation’s own, whoever the caller is', async () => {
    const [one, other] = [
      await keyOf('org_1', { calls, text: '' }, undefined),
      await keyOf('org_2', { calls, text: '' }, undefined),
    ]
    expect(one).toMatch(/^org_1:signed:[\w-]{43}$/)
    expect(other?.split(':')[2]).not.toBe(one?.split(':')[2])
  })

  it('goes by the first call, or by a text and what it answers', async () => {
    const user = { role: 'user', content: 'How?' }
    const keys = [
      await keyOf('org_1', { calls, text: 'So.' }, user),
      await keyOf('org_1', { calls: [], text: 'So.' }, user),
      await keyOf('org_1', { calls: [], text: 'So.' }, { ...user, content: 'Why?' }),
      await keyOf('org_1', { calls: [], text: 'call_1' }, undefined),
    ]
    expect(new Set(keys).size).toBe(4)
    expect(await keyOf('org_1', { calls, text: 'Else.' }, undefined)).toBe(keys[0])
    const parts = [{ type: 'text', text: 'How?' }]
    expect(await keyOf('org_1', { calls: [], text: 'So.' }, { role: 'user', content: parts })).toBe(keys[1])
  })

  it.each([
    ['a call without an id', { calls: [{ id: '', name: 'look', input: '{}' }], text: 'So.' }],
    ['nothing at all', { calls: [], text: '' }],
  ])('is none for %s', async (_what, written) => {
    expect(await keyOf('org_1', written, undefined)).toBeUndefined()
  })
})

describe('the collector', () => {
  const part = (choices: StreamPart['chunk']['choices']): StreamPart => ({ chunk: { choices }, json: '' })
  const pieces = (text: string, cuts: readonly number[]) => {
    const bounds = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((one, other) => one - other), text.length]
    return bounds.slice(1).map((end, at) => text.slice(bounds[at], end))
  }

  it('puts a stream together as its answer in one piece would be, however it is cut', () => {
    const texts = fc.record({
      text: fc.string(),
      inputs: fc.array(fc.string(), { maxLength: 3 }),
      cuts: fc.array(fc.nat(40), { maxLength: 4 }),
      choices: fc.integer({ min: 1, max: 2 }),
      batch: fc.integer({ min: 1, max: 5 }),
    })
    fc.assert(
      fc.property(texts, ({ text, inputs, cuts, choices, batch }) => {
        const thinking = [{ type: 'thinking', thinking: 'Hm.', signature: 'EqoB' }]
        const parts: StreamPart[] = []
        const say = (delta: StreamPart['chunk']['choices'][0]['delta'], end: string | null = null) => {
          for (let index = 0; index < choices; index++) parts.push(part([{ index, delta, finish_reason: end }]))
        }
        say({ role: 'assistant', reasoning_content: 'Hm.' })
        say({ thinking_blocks: thinking })
        for (const content of pieces(text, cuts)) say({ content, reasoning_content: content })
        for (const [index, input] of inputs.entries()) {
          say({ tool_calls: [{ index, ...call(`call_${index}`, '', index === 0 ? 'c2ln' : undefined) }] })
          for (const piece of pieces(input, cuts)) say({ tool_calls: [{ index, function: { arguments: piece } }] })
        }
        say(google('dGV4dA=='))
        say({}, 'stop')
        const collector = createCollector({ texts: true, reasoning: true })
        const ended = Array.from({ length: Math.ceil(parts.length / batch) }, (_, at) =>
          collector.take(parts.slice(at * batch, (at + 1) * batch)),
        ).flat()
        const message = said({
          content: text,
          thinking_blocks: thinking,
          tool_calls: inputs.map((input, at) => call(`call_${at}`, input, at === 0 ? 'c2ln' : undefined)),
          reasoning_content: `Hm.${text}`,
          ...google('dGV4dA=='),
        })
        expect(ended).toEqual(Array.from({ length: choices }, () => writtenIn(message)))
      }),
      { numRuns: count(60, 1000) },
    )
  })

  it('keeps no text of a stream of which nobody wants it', () => {
    const collector = createCollector({ texts: false, reasoning: false })
    const ended = collector.take([
      part([{ index: 0, delta: { content: 'Long.', reasoning_content: 'Hm.' }, finish_reason: 'stop' }]),
    ])
    expect(ended).toMatchObject([{ text: '', reasoning: '' }])
  })
})

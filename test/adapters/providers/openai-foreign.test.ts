import { describe, expect, it } from 'vitest'
import { plainTools, withoutForeign } from '../../../src/adapters/providers/openai-foreign.ts'

const cached = { cache_control: { type: 'ephemeral' } }
const text = (words: string, extra: object = {}) => ({ type: 'text', text: words, ...extra })
const image = { type: 'image_url', image_url: { url: 'https://example.com/a.png' } }
const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }
const user = { role: 'user', content: 'Go on.' }

describe('a conversation for a vendor of OpenAI’s wire', () => {
  it('is the same list where nothing in it belongs to another wire', () => {
    const messages = [user, { role: 'assistant', content: null, tool_calls: [call] }, { role: 'tool', content: 'x' }]
    expect(withoutForeign(messages, [])).toBe(messages)
  })

  it('has no thoughts, marks and signatures of other wires', () => {
    const messages = [
      { role: 'system', content: [text('Be brief.', cached)] },
      {
        role: 'assistant',
        content: 'So.',
        reasoning_content: 'Hm.',
        thinking_blocks: [{ type: 'thinking', thinking: 'Hm.', signature: 's' }],
        tool_calls: [{ ...call, extra_content: { google: { thought_signature: 's' } } }],
        ...cached,
      },
      { role: 'tool', tool_call_id: 'c', content: 'No.', is_error: true },
    ]
    const before = structuredClone(messages)
    expect(withoutForeign(messages, [])).toEqual([
      { role: 'system', content: [text('Be brief.')] },
      { role: 'assistant', content: 'So.', reasoning_content: 'Hm.', tool_calls: [call] },
      { role: 'tool', tool_call_id: 'c', content: 'No.' },
    ])
    expect(messages).toEqual(before)
  })

  it('keeps what the vendor knows', () => {
    const messages = [{ role: 'system', content: [text('Be brief.', cached)], ...cached }]
    expect(withoutForeign(messages, ['cache_control'])).toBe(messages)
    const tools = [{ type: 'function', ...cached }]
    expect(plainTools(tools, ['cache_control'])).toBe(tools)
    expect(plainTools(tools, [])).toEqual([{ type: 'function' }])
  })

  it('shows pictures of tools behind the last of their results', () => {
    const results = [
      { role: 'tool', tool_call_id: 'a', content: [text('Seen.'), image] },
      { role: 'tool', tool_call_id: 'b', content: [image] },
      { role: 'tool', tool_call_id: 'c', content: 'Nothing.' },
    ]
    const plain = [
      { role: 'tool', tool_call_id: 'a', content: [text('Seen.')] },
      { role: 'tool', tool_call_id: 'b', content: 'The result is in the message after this one.' },
      { role: 'tool', tool_call_id: 'c', content: 'Nothing.' },
      { role: 'user', content: [image, image] },
    ]
    expect(withoutForeign(results, [])).toEqual(plain)
    expect(withoutForeign([...results, user], [])).toEqual([...plain, user])
  })
})

import type { Surface } from '../surfaces/surface.ts'

export type Fields = Record<string, unknown>

/** Something that can be asked, in the words of each interface that has some. `plain` is the same without it. */
export type Feature = { name: string; ask: Partial<Record<Surface['name'], Words>> }
export type Words = { asked: Fields; plain?: Fields }

export const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
export const PDF = 'JVBERi0xLjQKJSVFT0YK'
export const schema = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
}

export const turns = (...messages: Fields[]): Fields => ({ messages })
export const items = (...input: Fields[]): Fields => ({ input })
export const user = (...content: Fields[]): Fields => ({ role: 'user', content })
export const hi = { type: 'text', text: 'Hi' }
export const inHi = { type: 'input_text', text: 'Hi' }

/** A field that OpenAI's two interfaces for chats call the same. */
export const both = (asked: Fields): Feature['ask'] => ({ chat: { asked }, responses: { asked } })
/** A field that all of OpenAI's interfaces call the same. */
export const sampled = (asked: Fields): Feature['ask'] => ({ ...both(asked), text: { asked } })

export const chatTool = { type: 'function', function: { name: 'look', description: 'Looks', parameters: schema } }
export const messagesTool = { name: 'look', description: 'Looks', input_schema: schema }
export const responsesTool = { type: 'function', name: 'look', description: 'Looks', parameters: schema, strict: false }

/** Words about tools, beside a tool that both requests declare. */
export const withTool = (chat: Fields, messages: Fields, responses: Fields): Feature['ask'] => {
  const words = (tool: Fields, more: Fields) => ({ asked: { tools: [tool], ...more }, plain: { tools: [tool] } })
  return {
    chat: words(chatTool, chat),
    messages: words(messagesTool, messages),
    responses: words(responsesTool, responses),
  }
}

export const chatCall = { id: 'call_1', type: 'function', function: { name: 'look', arguments: '{"city":"Rome"}' } }
export const responsesCall = { type: 'function_call', call_id: 'call_1', name: 'look', arguments: '{"city":"Rome"}' }
export const toolUse = { type: 'tool_use', id: 'call_1', name: 'look', input: { city: 'Rome' } }

/** A conversation in which a tool was called and has answered. */
export const chatLoop = (result: Fields, before: Fields = {}): Fields => ({
  tools: [chatTool],
  ...turns(
    user(hi),
    { role: 'assistant', content: null, tool_calls: [chatCall], ...before },
    { role: 'tool', tool_call_id: 'call_1', content: 'Sunny', ...result },
  ),
})
export const messagesLoop = (result: Fields, ...before: Fields[]): Fields => ({
  tools: [messagesTool],
  ...turns(
    user(hi),
    { role: 'assistant', content: [...before, toolUse] },
    user({ type: 'tool_result', tool_use_id: 'call_1', content: 'Sunny', ...result }),
  ),
})
export const responsesLoop = (output: unknown): Fields => ({
  tools: [responsesTool],
  ...items(user(inHi), responsesCall, { type: 'function_call_output', call_id: 'call_1', output }),
})

export const dataUrl = `data:image/png;base64,${PNG}`
export const address = 'https://images.test/a.png'
export const image = (url: string) => ({ type: 'image_url', image_url: { url } })
export const source = { type: 'base64', media_type: 'image/png', data: PNG }
export const signed = { type: 'thinking', thinking: 'Hm.', signature: 'EqQBCgIYAhIM' }
export const ofGoogle = { extra_content: { google: { thought_signature: 'c2lnbmF0dXJl' } } }
export const marked = { cache_control: { type: 'ephemeral' } }
export const format = { name: 'place', schema, strict: true }

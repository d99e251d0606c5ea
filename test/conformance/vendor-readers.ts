import type { Wire } from '../../src/core/models.ts'
import type { Told } from './conversation.ts'
import { fieldsOf, listOf, stringOf } from './surfaces/surface.ts'

type Fields = Record<string, unknown>

const canonical = (value: unknown): string => JSON.stringify(typeof value === 'string' ? JSON.parse(value) : value)
const blocks = (content: unknown): Fields[] =>
  typeof content === 'string' ? [{ type: 'text', text: content }] : listOf(content)

const called = (id: unknown, name: unknown, args: unknown): Told => ({
  who: 'model',
  call: { id: stringOf(id), name: stringOf(name), json: canonical(args) },
})

function openai({ messages }: Fields): Told[] {
  return listOf(messages).flatMap(({ role, content, tool_calls: calls, tool_call_id: id }): Told[] => {
    if (role === 'tool')
      return [
        {
          who: 'tool',
          id: stringOf(id),
          text: blocks(content)
            .map(({ text }) => text)
            .join(''),
        },
      ]
    const who = role === 'assistant' ? 'model' : role === 'user' ? 'user' : 'instructions'
    const said = blocks(content).map(({ type, text, image_url: image }): Told => {
      if (type === 'text') return { who, text: stringOf(text) }
      return { who: 'user', image: stringOf(fieldsOf(image).url).replace('data:image/png;base64,', '') }
    })
    return [
      ...said,
      ...listOf(calls).map(({ id, function: made }) => called(id, fieldsOf(made).name, fieldsOf(made).arguments)),
    ]
  })
}

function anthropic({ system, messages }: Fields): Told[] {
  const instructions = blocks(system).map(({ text }): Told => ({ who: 'instructions', text: stringOf(text) }))
  const turns = listOf(messages).flatMap(({ role, content }) =>
    blocks(content).map((block): Told => {
      if (block.type === 'tool_use') return called(block.id, block.name, block.input)
      if (block.type === 'image') return { who: 'user', image: stringOf(fieldsOf(block.source).data) }
      if (block.type !== 'tool_result')
        return { who: role === 'assistant' ? 'model' : 'user', text: stringOf(block.text) }
      const text = blocks(block.content).map((part) => stringOf(part.text))
      return { who: 'tool', id: stringOf(block.tool_use_id), text: text.join('') }
    }),
  )
  return [...instructions, ...turns]
}

function gemini({ systemInstruction, contents }: Fields): Told[] {
  const instructions = listOf(fieldsOf(systemInstruction).parts).map(
    ({ text }): Told => ({ who: 'instructions', text: stringOf(text) }),
  )
  const turns = listOf(contents).flatMap(({ role, parts }) =>
    listOf(parts).map(({ text, inlineData, functionCall, functionResponse }): Told => {
      if (functionCall) {
        const { id, name, args } = fieldsOf(functionCall)
        return called(id, name, args)
      }
      if (functionResponse) {
        const { id, response } = fieldsOf(functionResponse)
        return { who: 'tool', id: stringOf(id), text: stringOf(fieldsOf(response).result) }
      }
      if (inlineData) return { who: 'user', image: stringOf(fieldsOf(inlineData).data) }
      return { who: role === 'model' ? 'model' : 'user', text: stringOf(text) }
    }),
  )
  return [...instructions, ...turns]
}

function ollama({ messages }: Fields): Told[] {
  return listOf(messages).flatMap(({ role, content, images, tool_calls: calls, tool_call_id: id }): Told[] => {
    const text = stringOf(content)
    if (role === 'tool') return [{ who: 'tool', id: stringOf(id), text }]
    const who = role === 'assistant' ? 'model' : role === 'user' ? 'user' : 'instructions'
    const pictures = Array.isArray(images) ? images.map((image): Told => ({ who: 'user', image: stringOf(image) })) : []
    const made = listOf(calls).map(({ id, function: call }) =>
      called(id, fieldsOf(call).name, fieldsOf(call).arguments),
    )
    return [...(text === '' ? [] : [{ who, text } as const]), ...pictures, ...made]
  })
}

/** How the vendors of each wire understand a request: written by hand from their documentation. */
export const vendorReaders: Readonly<Record<Wire, (body: Fields) => Told[]>> = { openai, anthropic, gemini, ollama }

/** The part of a request that grows from turn to turn, and what stands before it. */
export const turnsOf: Readonly<Record<Wire, (body: Fields) => { turns: Fields[]; before: unknown }>> = {
  openai: ({ messages, tools }) => ({ turns: listOf(messages), before: tools }),
  anthropic: ({ messages, tools, system }) => ({ turns: listOf(messages), before: [tools, system] }),
  gemini: ({ contents, tools, systemInstruction }) => ({ turns: listOf(contents), before: [tools, systemInstruction] }),
  ollama: ({ messages, tools }) => ({ turns: listOf(messages), before: tools }),
}

import type OpenAI from 'openai'
import { expect, it } from 'vitest'
import { user, type World } from './sdk-kits.ts'

const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
}
const tool = (name: string, description: string) => ({
  type: 'function' as const,
  function: { name, description, parameters },
})
const tools = [tool('get_weather', 'Current weather of a city'), tool('get_population', 'Population of a city')]

type Message = OpenAI.Chat.Completions.ChatCompletionMessage

/** The conversation with its calls answered. */
const withResults = (question: OpenAI.Chat.Completions.ChatCompletionMessageParam[], message: Message) => [
  ...question,
  { role: 'assistant' as const, content: message.content, tool_calls: message.tool_calls ?? [] },
  ...(message.tool_calls ?? []).map(({ id }) => ({ role: 'tool' as const, tool_call_id: id, content: `result ${id}` })),
]

const callsIn = (message: Message | undefined) =>
  (message?.tool_calls ?? []).flatMap((call) => (call.type === 'function' ? [call] : []))

/** Tools against a vendor and against a node: parallel, whole and streamed, and the turn after. */
export function toolScenarios(world: () => World): void {
  describeTarget(world, { name: 'the vendor', model: 'openai/gpt-4o', question: 'fault:tools' })
  describeTarget(world, {
    name: 'a node',
    model: 'llama3.2:3b',
    question: 'Get the weather and the population of "Paris" please',
  })

  it('streams the calls of a custom tool as they come', async () => {
    const { client } = world()
    const custom = { type: 'custom' as const, custom: { name: 'note', description: 'Writes a note' } }
    const stream = await client.chat.completions.create({
      model: 'openai/gpt-4o',
      messages: user('fault:tools'),
      tools: [custom],
      parallel_tool_calls: false,
      stream: true,
    })
    const names: unknown[] = []
    let input = ''
    for await (const { choices } of stream) {
      for (const call of choices[0]?.delta.tool_calls ?? []) {
        const written: { custom?: { name?: string; input?: string } } = call
        if (written.custom?.name) names.push(written.custom.name)
        input += written.custom?.input ?? ''
      }
    }
    expect({ names, input }).toEqual({ names: ['note'], input: 'custom input' })
  })
}

function describeTarget(world: () => World, target: { name: string; model: string; question: string }): void {
  const { name, model } = target
  const messages = user(target.question)

  const checkCalls = (message: Message | undefined) => {
    const calls = callsIn(message)
    expect(calls.map((call) => call.function.name).sort()).toEqual(['get_population', 'get_weather'])
    expect(new Set(calls.map(({ id }) => id)).size).toBe(2)
    for (const call of calls) expect(JSON.parse(call.function.arguments)).toEqual({ city: expect.any(String) })
  }

  it(`calls tools of ${name} in parallel, and goes on with their results`, async () => {
    const { client } = world()
    const asked = await client.chat.completions.create({ model, messages, tools })
    expect(asked.choices[0]?.finish_reason).toBe('tool_calls')
    const message = asked.choices[0]?.message
    checkCalls(message)
    if (!message) return
    const next = [...withResults(messages, message), ...(model.startsWith('openai') ? user('And now?') : [])]
    const answered = await client.chat.completions.create({ model, messages: next, tools })
    expect(answered.choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { content: expect.stringMatching(/./) },
    })
  })

  it(`streams the calls of ${name}`, async () => {
    const { client, kit } = world()
    const runner = kit.stream(client, { model, messages, tools, stream_options: { include_usage: true } })
    const heads: string[] = []
    for await (const { choices } of runner) {
      for (const { index, id, function: called } of choices[0]?.delta.tool_calls ?? []) {
        if (id !== undefined) heads.push(`${index} ${called?.name}`)
      }
    }
    expect(heads.map((head) => head.split(' ')[0])).toEqual(['0', '1'])
    const answer = await runner.finalChatCompletion()
    expect(answer.choices[0]?.finish_reason).toBe('tool_calls')
    checkCalls(answer.choices[0]?.message)
  })

  it(`calls no tool of ${name} that it may not`, async () => {
    const { client } = world()
    const answer = await client.chat.completions.create({ model, messages, tools, tool_choice: 'none' })
    expect(callsIn(answer.choices[0]?.message)).toEqual([])
    expect(answer.choices[0]?.finish_reason).toBe('stop')
  })
}

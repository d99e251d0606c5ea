import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sent } from '../../support/gateway.ts'
import { count } from '../../support/lane.ts'
import { ask, type Message, withResults } from './loop.ts'
import { startWorld, type World } from './world.ts'

const steps = count(5, 50)
const user = (content: string): Message[] => [{ role: 'user', content }]

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world?.close())

type Past = { role: string; content?: string | null; tool_calls?: unknown[]; reasoning_content?: string }

const reasoningOf = (step: number) => `Step ${step}: "é" 雨`

/** A vendor that calls two tools until it has the results, and takes no call without the reasoning that led to it. */
function demanding({ body }: Sent): Response {
  const past = (body.messages as Past[]).filter(({ role }) => role === 'assistant')
  const wrong = past.some((said, step) => said.tool_calls && said.reasoning_content !== reasoningOf(step))
  if (wrong) {
    const message = 'The `reasoning_content` in the thinking mode must be passed back to the API.'
    return Response.json({ error: { message, type: 'invalid_request_error' } }, { status: 400 })
  }
  const step = past.length
  const call = (at: number) => ({
    id: `call_${step}_${at}`,
    type: 'function',
    function: { name: 'look', arguments: '{}' },
  })
  const calls = step < steps ? [call(0), call(1)] : undefined
  const finish_reason = calls ? 'tool_calls' : 'stop'
  const message = {
    role: 'assistant',
    content: calls ? '' : 'Done.',
    reasoning_content: reasoningOf(step),
    tool_calls: calls,
  }
  const head = { id: 'chat-1', created: 1, model: 'deepseek-chat' }
  if (body.stream !== true) {
    const choices = [{ index: 0, message, finish_reason }]
    return Response.json({ ...head, object: 'chat.completion', choices })
  }
  const deltas = [
    { role: 'assistant', content: '' },
    ...[...reasoningOf(step)].map((reasoning_content) => ({ reasoning_content })),
    ...(calls ?? []).map((one, index) => ({ tool_calls: [{ index, ...one }] })),
    ...(calls ? [] : [{ content: 'Done.' }]),
  ]
  const chunks = [
    ...deltas.map((delta) => ({ choices: [{ index: 0, delta, finish_reason: null }] })),
    { choices: [{ index: 0, delta: {}, finish_reason }] },
  ]
  const events = chunks.map(
    (chunk) => `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', ...chunk })}\n\n`,
  )
  return new Response(`${events.join('')}data: [DONE]\n\n`, { headers: { 'content-type': 'text/event-stream' } })
}

describe('a vendor that wants its reasoning back', () => {
  it.each([
    ['whole', false],
    ['streamed', true],
  ])('gets it from a client that knows nothing of it, over two isolates (%s)', async (_form, stream) => {
    const options = { vendors: ['deepseek'], upstream: demanding }
    const isolates = [await world.isolate(options), await world.isolate(options)]
    const model = 'deepseek/deepseek-chat'
    let messages = user('Look around.')
    for (let step = 0; step <= steps; step++) {
      const client = isolates[step % 2]?.client
      if (!client) throw new Error('no isolate')
      const message = await ask({ client, stream, model, messages })
      expect(message.tool_calls ?? []).toHaveLength(step < steps ? 2 : 0)
      messages = withResults(messages, message)
    }
  })

  it('gets what a client keeps as that client has it', async () => {
    const { client, sent } = await world.isolate({ vendors: ['deepseek'], upstream: demanding })
    const model = 'deepseek/deepseek-chat'
    const messages = user('Look around.')
    const said = await ask({ client, stream: false, model, messages })
    const own = withResults(messages, said).map((message) =>
      message.role === 'assistant' ? { ...message, reasoning_content: 'Mine.' } : message,
    )
    await expect(ask({ client, stream: false, model, messages: own })).rejects.toThrow('reasoning_content')
    expect(sent.at(-1)?.body.messages).toMatchObject([{}, { reasoning_content: 'Mine.' }, {}, {}])
  })

  it('is another than the one that is asked next: nothing of it goes there', async () => {
    const { client, sent } = await world.isolate({ vendors: ['deepseek', 'qwen'], upstream: demanding })
    const messages = user('Look around.')
    const said = await ask({ client, stream: false, model: 'deepseek/deepseek-chat', messages })
    const next = ask({ client, stream: false, model: 'qwen/qwen-max', messages: withResults(messages, said) })
    await expect(next).rejects.toThrow('reasoning_content')
    expect(JSON.stringify(sent.at(-1)?.body)).not.toContain('reasoning_content')
  })
})

import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FakeGemini, startFakeGemini } from '../../support/fake-vendor/gemini.ts'
import { startGateway, type TestGateway } from '../../support/gateway.ts'
import { count } from '../../support/lane.ts'

const steps = count(12, 50)
const model = 'gemini/gemini-3-flash-preview'
const tools: OpenAI.ChatCompletionTool[] = [
  { type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } },
]

let fake: FakeGemini
let gateway: TestGateway
let client: OpenAI
beforeAll(async () => {
  fake = await startFakeGemini()
  gateway = await startGateway({ vendors: ['gemini'] })
  gateway.upstream(({ path, body, signal }) =>
    fetch(`${fake.url}${path.replace('/v1/', '/v1beta/')}`, {
      method: 'POST',
      headers: { 'x-goog-api-key': 'AIza-fake' },
      body: JSON.stringify(body),
      signal,
    }),
  )
  client = new OpenAI({
    apiKey: gateway.apiKey,
    baseURL: 'https://gateway.test/v1',
    fetch: (input, init) => gateway.gateway(new Request(input, init), undefined, { waitUntil: () => undefined }),
  })
})
afterAll(() => fake.close())

describe('OpenAI’s own client with Gemini behind the gateway', () => {
  it('runs a long loop of parallel tools on its own history, with no signature missing', async () => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [
      { role: 'user', content: `fake:loop=${steps},parallel=2,think` },
    ]
    for (let step = 0; step < steps; step++) {
      const completion = await client.chat.completions.create({ model, messages, tools })
      const message = completion.choices[0]?.message
      if (message?.tool_calls === undefined) throw new Error(`no calls in step ${step}`)
      messages.push(message)
      for (const { id } of message.tool_calls) messages.push({ role: 'tool', tool_call_id: id, content: 'Seen.' })
    }
    const last = await client.chat.completions.create({ model, messages, tools })
    expect(last.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: expect.stringMatching(/\w/) } })
    expect(fake.signatureErrors()).toBe(0)
    const rows = await gateway.rows()
    expect(rows.at(-1)).toMatchObject({ status: 'ok', estimated: false })
  })

  it('runs the same loop from streams', async () => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'fake:loop=3,parallel=2' }]
    for (let step = 0; step < 3; step++) {
      const stream = client.chat.completions.stream({ model, messages, tools })
      const { choices } = await stream.finalChatCompletion()
      const message = choices[0]?.message
      expect(choices[0]?.finish_reason).toBe('tool_calls')
      if (message === undefined) throw new Error('no message')
      messages.push(message)
      for (const { id } of message.tool_calls ?? []) messages.push({ role: 'tool', tool_call_id: id, content: 'Seen.' })
    }
    const stream = client.chat.completions.stream({ model, messages, tools })
    expect((await stream.finalChatCompletion()).choices[0]?.message.content).toMatch(/\w/)
    expect(fake.signatureErrors()).toBe(0)
  })

  it('is told of a blocked prompt by the reason of the end', async () => {
    const messages = [{ role: 'user' as const, content: 'fake:block=PROHIBITED_CONTENT' }]
    const completion = await client.chat.completions.create({ model, messages })
    expect(completion.choices).toMatchObject([{ finish_reason: 'content_filter', message: { content: '' } }])
    const text = await client.chat.completions.stream({ model, messages }).finalChatCompletion()
    expect(text.choices[0]?.finish_reason).toBe('content_filter')
  })
})

import Anthropic from '@anthropic-ai/sdk'
import AnthropicV0 from 'anthropic-sdk-v0'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Fleet, startFleet } from '../support/fake-vendor/fleet.ts'
import { type Stack, startStack } from '../support/stack.ts'

let stack: Stack
let fleet: Fleet
let apiKey: string
let orgId: string

beforeAll(async () => {
  fleet = await startFleet()
  stack = await startStack({ vars: fleet.vars })
  ;({ apiKey, orgId } = await stack.org())
})

afterAll(async () => {
  await stack?.close()
  await fleet?.close()
})

/** The two lines of the client share what is used here method by method, but not one type. */
const across = (client: unknown): Anthropic => client as Anthropic

const kits = [
  { name: '@anthropic-ai/sdk (newest)', Client: Anthropic, errors: Anthropic },
  { name: '@anthropic-ai/sdk v0', Client: AnthropicV0, errors: AnthropicV0 },
]

const weather = {
  name: 'get_weather',
  description: 'Current weather of a city',
  input_schema: { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] },
}
const tools = [weather, { ...weather, name: 'get_population', description: 'Population of a city' }]
const user = (content: Anthropic.MessageParam['content']): Anthropic.MessageParam => ({ role: 'user', content })
const fake = (script: object) => `fake:${JSON.stringify(script)}`
const callOf = (name: string) => ({ name, input: { city: 'Paris "é"' } })

const targets = [
  {
    upstream: 'a vendor of OpenAI’s wire',
    model: 'openai/gpt-4o',
    hello: 'Tell me something',
    asking: 'fault:tools',
    counts: false,
  },
  {
    upstream: 'a vendor of Anthropic’s wire',
    model: 'anthropic/claude-sonnet-4-6',
    hello: fake({ text: 'Hello "there" 👋.' }),
    asking: fake({ text: 'Let me look.', calls: [callOf('get_weather'), callOf('get_population')] }),
    counts: true,
  },
  {
    upstream: 'a node',
    model: 'llama3.2:3b',
    hello: 'Tell me something',
    asking: 'Get the weather and the population of "Paris" please',
    counts: false,
  },
]

const textIn = ({ content }: Anthropic.Message) =>
  content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('')

describe.each(kits)('the official client: $name', ({ Client, errors }) => {
  const clientOf = (key: string) => across(new Client({ apiKey: key, baseURL: stack.url, maxRetries: 0 }))

  async function failureOf(work: PromiseLike<unknown>) {
    const failure: unknown = await Promise.resolve(work).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    if (!(failure instanceof errors.APIError)) throw new Error(`not an error of the client: ${failure}`)
    return failure
  }

  describe.each(targets)('over $upstream', ({ model, hello, asking, counts }) => {
    const ask = (content: string) => ({ model, max_tokens: 500, messages: [user(content)] })

    it('creates a message', async () => {
      const message = await clientOf(apiKey).messages.create(ask(hello))
      expect(message).toMatchObject({ type: 'message', role: 'assistant', stop_reason: 'end_turn' })
      expect(message.id).toMatch(/^msg_/)
      expect(textIn(message)).not.toBe('')
      expect(message.usage.input_tokens).toBeGreaterThan(0)
      expect(message.usage.output_tokens).toBeGreaterThan(0)
      expect(message._request_id).toMatch(/^req_/)
    })

    it('streams one, which the helper puts together', async () => {
      const stream = clientOf(apiKey).messages.stream(ask(hello))
      const pieces: string[] = []
      stream.on('text', (piece) => pieces.push(piece))
      const message = await stream.finalMessage()
      expect(pieces.join('')).toBe(textIn(message))
      expect(textIn(message)).not.toBe('')
      expect(message).toMatchObject({ stop_reason: 'end_turn', role: 'assistant' })
      expect(message.usage.input_tokens).toBeGreaterThan(0)
      expect(message.usage.output_tokens).toBeGreaterThan(0)
    })

    it.each(['whole', 'streamed'])('uses tools (%s), and goes on with their results', async (form) => {
      const { messages } = clientOf(apiKey)
      const body = { ...ask(asking), tools }
      const asked = form === 'whole' ? await messages.create(body) : await messages.stream(body).finalMessage()
      expect(asked.stop_reason).toBe('tool_use')
      const uses = asked.content.flatMap((block) => (block.type === 'tool_use' ? [block] : []))
      expect(uses.map(({ name }) => name).sort()).toEqual(['get_population', 'get_weather'])
      for (const { input } of uses) expect(input).toEqual({ city: expect.any(String) })
      const results = uses.map(({ id }) => ({ type: 'tool_result' as const, tool_use_id: id, content: 'Fine.' }))
      const history = [user(asking), { role: 'assistant' as const, content: asked.content }, user(results)]
      const answered = await messages.create({ ...body, messages: history })
      expect(answered.type).toBe('message')
    })

    it('counts tokens', async () => {
      const { data, response } = await clientOf(apiKey)
        .messages.countTokens({ model, messages: [user(hello)], tools })
        .withResponse()
      expect(data.input_tokens).toBeGreaterThan(10)
      expect(response.headers.get('x-helix-estimated')).toBe(counts ? null : 'true')
    })
  })

  it('thinks over several steps, with every thought given back as it was signed', async () => {
    const { messages } = clientOf(apiKey)
    const model = 'anthropic/claude-sonnet-4-6'
    const thinking = { type: 'enabled' as const, budget_tokens: 1024 }
    const question = fake({ think: 'Hm. "é"', redact: true, calls: [callOf('get_weather')] })
    const body = { model, max_tokens: 2000, thinking, tools, messages: [user(question)] }
    const asked = await messages.stream(body).finalMessage()
    expect(asked.content.map(({ type }) => type)).toEqual(['thinking', 'redacted_thinking', 'tool_use'])
    const use = asked.content.find((block) => block.type === 'tool_use')
    const result = { type: 'tool_result' as const, tool_use_id: use?.id ?? '', content: 'Fine.' }
    const history = [user(question), { role: 'assistant' as const, content: asked.content }, user([result])]
    const answered = await messages.create({ ...body, messages: history })
    expect(textIn(answered)).toBe('1 results')
    // The fake refuses a forged thought, so that it answered is the proof.
    const forged = structuredClone(asked.content)
    const [first] = forged
    if (first?.type === 'thinking') first.signature = `${first.signature}x`
    const refused = messages.create({
      ...body,
      messages: [history[0] ?? user(''), { role: 'assistant', content: forged }, user([result])],
    })
    expect((await failureOf(refused)).status).toBe(400)
  })

  it('may change its vendor in the middle of a conversation', async () => {
    const { messages } = clientOf(apiKey)
    const first = await messages.create({
      model: 'openai/gpt-4o',
      max_tokens: 500,
      tools,
      messages: [user('fault:tools')],
    })
    const results = first.content.flatMap((block) =>
      block.type === 'tool_use' ? [{ type: 'tool_result' as const, tool_use_id: block.id, content: 'Fine.' }] : [],
    )
    const history = [user('fault:tools'), { role: 'assistant' as const, content: first.content }, user(results)]
    const model = 'anthropic/claude-sonnet-4-6'
    const answered = await messages.create({ model, max_tokens: 500, tools, messages: history })
    expect(textIn(answered)).toBe('2 results')
  })

  it('gets the errors that it knows', async () => {
    const { messages } = clientOf(apiKey)
    const hello = [user('Hi')]
    const wrongKey = clientOf('hx_live_nothing').messages.create({ model: 'gpt-4o', max_tokens: 5, messages: hello })
    expect(await failureOf(wrongKey)).toBeInstanceOf(errors.AuthenticationError)
    const unknown = await failureOf(messages.create({ model: 'no-such-model', max_tokens: 5, messages: hello }))
    expect(unknown).toBeInstanceOf(errors.NotFoundError)
    expect(unknown.requestID).toMatch(/^req_/)
    const wrong = await failureOf(messages.create({ model: 'gpt-4o', max_tokens: -1, messages: hello }))
    expect([wrong instanceof errors.BadRequestError, wrong.message]).toEqual([
      true,
      expect.stringContaining('max_tokens'),
    ])
    const late = messages.stream({
      model: 'anthropic/claude-opus-4-5',
      max_tokens: 50,
      messages: [user(fake({ text: 'Hello there.', late: 'overloaded_error' }))],
    })
    expect((await failureOf(late.finalMessage())).message).toContain('overloaded_error')
  })
})

describe('a call of the Messages interface', () => {
  it('is in the books, and in the log of requests', async () => {
    const client = new Anthropic({ apiKey, baseURL: stack.url, maxRetries: 0 })
    const { data, request_id: requestId } = await client.messages
      .create({ model: 'anthropic/claude-haiku-4-5', max_tokens: 100, messages: [user(fake({ text: 'Yes.' }))] })
      .withResponse()
    const rows = () => stack.query('select * from usage_ledger where request_id = $1', [requestId])
    await expect.poll(rows, { timeout: 10_000 }).toHaveLength(1)
    const [row] = await rows()
    expect(row).toMatchObject({
      org_id: orgId,
      operation: 'chat',
      provider: 'anthropic',
      model: 'claude-haiku-4-5',
      status: 'ok',
      prompt_tokens: String(data.usage.input_tokens),
      completion_tokens: String(data.usage.output_tokens),
    })
    const logged = await stack.query('select path, status_code from request_log where request_id = $1', [requestId])
    expect(logged).toMatchObject([{ path: '/v1/messages', status_code: 200 }])
  })

  it('is held to the budget of its caller', async () => {
    const poor = await stack.org({ budgetUsd: 0.000_001 })
    const client = new Anthropic({ apiKey: poor.apiKey, baseURL: stack.url, maxRetries: 0 })
    const call = client.messages.create({ model: 'openai/gpt-4o', max_tokens: 500, messages: [user('Hi')] })
    await expect(call).rejects.toMatchObject({ status: 429, type: 'rate_limit_error' })
  })
})

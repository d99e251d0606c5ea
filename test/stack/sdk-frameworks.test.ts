import { createOpenAI } from '@ai-sdk/openai'
import Anthropic from '@anthropic-ai/sdk'
import { type AIMessageChunk, type BaseMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai'
import AnthropicV0 from 'anthropic-sdk-v0'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signers } from '../features/signatures/loop.ts'
import { type Fleet, startFleet } from '../support/fake-vendor/fleet.ts'
import { type Stack, startStack } from '../support/stack.ts'

/** Calls of tools before the answer, where the upstream can be told so. */
const STEPS = 3

let stack: Stack
let fleet: Fleet
let apiKey: string

beforeAll(async () => {
  fleet = await startFleet()
  stack = await startStack({ vars: fleet.vars })
  ;({ apiKey } = await stack.org())
})
afterAll(async () => {
  await stack?.close()
  await fleet?.close()
})

const plain = [
  { name: 'a vendor of OpenAI’s wire', model: 'openai/gpt-4o', hello: 'Tell me something', asking: 'fault:tools' },
  {
    name: 'a node',
    model: 'llama3.2:3b',
    hello: 'Tell me something',
    asking: 'Get the weather and the population of "Paris" please',
  },
]
const upstreams = [
  ...plain.map((upstream) => ({ ...upstream, steps: 1, signed: () => 0, wanted: 0 })),
  ...signers.map(({ name, model, asking, signed }) => ({
    name,
    model,
    hello: 'Tell me something',
    asking: asking(STEPS),
    steps: STEPS,
    signed: () => signed(fleet),
    wanted: STEPS,
  })),
]

const schema = {
  type: 'object' as const,
  properties: { city: { type: 'string' as const } },
}
const names = { look: 'Looks', get_weather: 'Current weather of a city', get_population: 'Population of a city' }
/** Of nodes, those that the demo knows; vendors are told in their own words which one to call. */
const toolsOf = (model: string) =>
  Object.entries(names).filter(([name]) => (name === 'look') === /^(anthropic|gemini)/.test(model))

// A store that is slow for once is done without, by design: a signature may be missing then.
describe.each(upstreams)('over $name', { retry: 3 }, ({ model, hello, asking, steps, signed, wanted }) => {
  describe('the AI SDK', () => {
    const chat = () => createOpenAI({ apiKey, baseURL: `${stack.url}/v1` }).chat(model)
    const tools = Object.fromEntries(
      toolsOf(model).map(([name, description]) => [
        name,
        tool({ description, inputSchema: jsonSchema<object>(schema), execute: async () => 'Seen.' }),
      ]),
    )
    const loop = () => ({
      model: chat(),
      tools,
      prompt: asking,
      stopWhen: stepCountIs(steps + 1),
      maxRetries: 0,
    })

    it('writes a text', async () => {
      const { text, finishReason, usage } = await generateText({ model: chat(), prompt: hello, maxRetries: 0 })
      expect(text).toMatch(/\w/)
      expect(finishReason).toBe('stop')
      expect(usage.inputTokens).toBeGreaterThan(0)
      expect(usage.outputTokens).toBeGreaterThan(0)
    })

    it('streams one', async () => {
      const stream = streamText({ model: chat(), prompt: hello, maxRetries: 0 })
      const pieces: string[] = []
      for await (const piece of stream.textStream) pieces.push(piece)
      expect(pieces.join('')).toMatch(/\w/)
      expect(await stream.finishReason).toBe('stop')
      expect((await stream.usage).outputTokens).toBeGreaterThan(0)
    })

    it('uses tools, step by step', async () => {
      const { steps: taken, text } = await generateText(loop())
      for (const { toolCalls } of taken.slice(0, steps)) expect(toolCalls).toHaveLength(2)
      expect(taken).toHaveLength(steps + 1)
      if (wanted > 0) expect(text).toMatch(/\w/)
      expect(signed()).toBe(wanted)
    })

    it('uses them from streams', async () => {
      const stream = streamText(loop())
      await stream.consumeStream()
      const taken = await stream.steps
      for (const { toolCalls } of taken.slice(0, steps)) expect(toolCalls).toHaveLength(2)
      expect(taken).toHaveLength(steps + 1)
      expect(signed()).toBe(wanted)
    })
  })

  describe('LangChain', () => {
    const chat = () => new ChatOpenAI({ model, apiKey, maxRetries: 0, configuration: { baseURL: `${stack.url}/v1` } })
    const withTools = () =>
      chat().bindTools(
        toolsOf(model).map(([name, description]) => ({
          type: 'function' as const,
          function: { name, description, parameters: schema },
        })),
      )

    it('writes a text', async () => {
      const counts = { input_tokens: expect.any(Number), output_tokens: expect.any(Number) }
      expect(await chat().invoke(hello)).toMatchObject({ text: expect.stringMatching(/\w/), usage_metadata: counts })
    })

    it('streams one', async () => {
      const pieces: string[] = []
      for await (const chunk of await chat().stream(hello)) pieces.push(chunk.text)
      expect(pieces.join('')).toMatch(/\w/)
    })

    it.each(['whole', 'streamed'])('uses tools (%s), and goes on with their results', async (form) => {
      const model = withTools()
      const history: BaseMessage[] = [new HumanMessage(asking)]
      const next = async () => {
        if (form === 'whole') return model.invoke(history)
        let whole: AIMessageChunk | undefined
        for await (const chunk of await model.stream(history)) whole = whole ? whole.concat(chunk) : chunk
        if (!whole) throw new Error('nothing was streamed')
        return whole
      }
      for (let step = 0; step < steps; step++) {
        const said = await next()
        expect(said.tool_calls).toHaveLength(2)
        history.push(said)
        for (const { id = '' } of said.tool_calls ?? [])
          history.push(new ToolMessage({ tool_call_id: id, content: 'Seen.' }))
      }
      const last = await next()
      if (wanted > 0) expect(last.text).toMatch(/\w/)
      expect(signed()).toBe(wanted)
    })
  })
})

const lines = [
  { name: '@anthropic-ai/sdk (newest)', Client: Anthropic },
  { name: '@anthropic-ai/sdk v0', Client: AnthropicV0 },
]

/** The two lines of the client share what is used here method by method, but not one type. */
const across = (client: unknown): Anthropic => client as Anthropic

describe.each(lines)('over Gemini, $name', { retry: 3 }, ({ Client }) => {
  const model = 'gemini/gemini-3-flash-preview'
  const messagesOf = () => across(new Client({ apiKey, baseURL: stack.url, maxRetries: 0 })).messages
  const user = (content: Anthropic.MessageParam['content']): Anthropic.MessageParam => ({ role: 'user', content })

  it.each(['whole', 'streamed'])('writes a text (%s)', async (form) => {
    const body = { model, max_tokens: 500, messages: [user('Tell me something')] }
    const messages = messagesOf()
    const message = form === 'whole' ? await messages.create(body) : await messages.stream(body).finalMessage()
    expect(message).toMatchObject({
      stop_reason: 'end_turn',
      content: [{ type: 'text', text: expect.stringMatching(/\w/) }],
    })
    expect(message.usage.output_tokens).toBeGreaterThan(0)
  })

  // One keeps whole blocks as they came, the other what it knows of them.
  it.each([
    ['whole', true],
    ['whole', false],
    ['streamed', true],
    ['streamed', false],
  ])('runs a loop of tools (%s, with all that it was given: %s)', async (form, keepsAll) => {
    const tools = [{ name: 'look', input_schema: schema }]
    const history = [user(`fake:loop=${STEPS},parallel=2,think`)]
    const next = () => {
      const body = { model, max_tokens: 2000, tools, messages: history }
      return form === 'whole' ? messagesOf().create(body) : messagesOf().stream(body).finalMessage()
    }
    for (let step = 0; step < STEPS; step++) {
      const { content, stop_reason: reason } = await next()
      expect(reason).toBe('tool_use')
      const uses = content.flatMap((block) => (block.type === 'tool_use' ? [block] : []))
      const bare = uses.map(({ type, id, name, input }) => ({ type, id, name, input }))
      history.push({ role: 'assistant', content: keepsAll ? content : bare })
      history.push(user(uses.map(({ id }) => ({ type: 'tool_result', tool_use_id: id, content: 'Seen.' }))))
    }
    expect((await next()).stop_reason).toBe('end_turn')
    expect(signers.at(-1)?.signed(fleet)).toBe(STEPS)
    expect(fleet.gemini.signatureErrors()).toBe(0)
  })
})

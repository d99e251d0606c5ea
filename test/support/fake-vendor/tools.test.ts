import type OpenAI from 'openai'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { askerOf, eventsIn, readToEnd, says } from './ask.ts'
import { minimalExample } from './schema.ts'
import { startFakeVendor } from './server.ts'

const vendor = await startFakeVendor()
const { client, chat, stream } = askerOf(vendor)
beforeEach(() => vendor.reset())
afterAll(() => vendor.close())

const row = () => vendor.truth()[0]

describe('tools and schemas', () => {
  const tool = (name: string, parameters: object = {}) => ({ type: 'function', function: { name, parameters } })
  const weather = tool('weather', {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'integer' } },
    required: ['city', 'days'],
  })
  const clock = tool('clock', { type: 'object', properties: {} })

  it('calls all tools in parallel when told to', async () => {
    const answer = await (await chat('fault:tools', { tools: [weather, clock] })).json()
    expect(answer).toMatchObject({
      choices: [
        {
          finish_reason: 'tool_calls',
          message: {
            content: null,
            tool_calls: [
              { type: 'function', function: { name: 'weather', arguments: '{"city":"word","days":0}' } },
              { function: { name: 'clock', arguments: '{}' } },
            ],
          },
        },
      ],
    })
  })

  it('streams calls in interleaved fragments that add up', async () => {
    const chunks = await client.chat.completions.create({
      model: 'gpt-4o',
      messages: says('fault:tools'),
      tools: [weather, { type: 'custom', custom: { name: 'shell' } }] as OpenAI.ChatCompletionTool[],
      stream: true,
    })
    const calls: { id: string | undefined; input: string }[] = []
    const order: number[] = []
    for await (const chunk of chunks) {
      for (const { index, id, function: called, ...rest } of chunk.choices[0]?.delta.tool_calls ?? []) {
        const input = called?.arguments ?? JSON.parse(JSON.stringify(rest)).custom?.input ?? ''
        const before = calls[index] ?? { id, input: '' }
        calls[index] = { ...before, input: before.input + input }
        order.push(index)
      }
    }
    expect(calls).toEqual([
      { id: 'call_0weather', input: '{"city":"word","days":0}' },
      { id: 'call_1shell', input: 'custom input' },
    ])
    expect(order.slice(0, 4)).toEqual([0, 1, 0, 1])
    expect(row()?.completion).toBe(order.length)
  })

  it.each([
    ['none', 'fault:tools', []],
    ['auto', 'Hello', []],
    ['required', 'Hello', ['weather']],
    [{ type: 'function', function: { name: 'clock' } }, 'Hello', ['clock']],
  ])('honours tool_choice %j for %j', async (choice, text, names) => {
    const answer = await (await chat(text, { tools: [weather, clock], tool_choice: choice })).text()
    expect([...answer.matchAll(/"name":"(\w+)"/g)].map(([, name]) => name)).toEqual(names)
  })

  it('calls one tool once when parallel calls are off, and twice otherwise', async () => {
    const names = async (extra: object) =>
      (await (await chat('fault:tools', { tools: [clock], ...extra })).text()).match(/"clock"/g)
    expect(await names({})).toHaveLength(2)
    expect(await names({ parallel_tool_calls: false })).toHaveLength(1)
  })

  it('answers with JSON that fits the schema', async () => {
    const schema = {
      type: 'object',
      properties: {
        kind: { enum: ['a', 'b'] },
        items: { type: 'array', items: { $ref: '#/$defs/item' }, minItems: 1 },
      },
      required: ['kind', 'items'],
      $defs: { item: { type: 'object', properties: { n: { type: 'number', minimum: 3 } }, required: ['n'] } },
    }
    const format = { type: 'json_schema', json_schema: { name: 'x', schema } }
    const { text } = await readToEnd(await stream('fault:schema', { response_format: format }))
    const content = eventsIn(text)
      .slice(0, -1)
      .map((event) => JSON.parse(event.slice(6)).choices[0].delta.content ?? '')
      .join('')
    expect(JSON.parse(content)).toEqual({ kind: 'a', items: [{ n: 3 }] })
    expect(row()?.text).toBe(content)
  })

  it.each([
    [{ type: ['null', 'string'] }, null],
    [{ const: 7 }, 7],
    [{ anyOf: [{ type: 'boolean' }, { type: 'null' }] }, false],
    [{ type: 'integer', exclusiveMinimum: 4 }, 5],
    [{ type: 'integer', minimum: 4, multipleOf: 5 }, 5],
    [{ type: 'string', format: 'date' }, '2026-01-01'],
    [{ type: 'string', minLength: 12 }, 'word word wo'],
    [{ $ref: '#' }, null],
    [{}, {}],
  ])('makes the smallest value of %j', (schema, value) => {
    expect(minimalExample(schema)).toEqual(value)
  })
})

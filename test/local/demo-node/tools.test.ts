import { expect, it } from 'vitest'
import { chooseToolCalls, matchTools } from '../../../scripts/local/demo-node/tool-choice.ts'
import { ask, inMessage, joined, postJson, postLines, startNode } from './demo-client.ts'

const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Current weather for a city',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string' },
        unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
        days: { type: 'integer', minimum: 1, maximum: 7 },
      },
      required: ['city'],
    },
  },
}
const clock = { type: 'function', function: { name: 'current_time', description: 'Time of day', parameters: {} } }

it('calls the matching tool once per thing named, with arguments as an object that fits the schema', async () => {
  const node = await startNode()
  const question = 'What is the weather in Paris and Berlin for 3 days in fahrenheit?'
  const lines = await postLines(node, '/api/chat', ask(question, { tools: [weather, clock] }))
  expect(lines.map((line) => inMessage(line, 'tool_calls'))).toEqual([
    [
      {
        id: expect.stringMatching(/^call_[a-z0-9]{8}$/),
        function: { index: 0, name: 'get_weather', arguments: { city: 'Paris', unit: 'fahrenheit', days: 3 } },
      },
    ],
    [
      {
        id: expect.stringMatching(/^call_[a-z0-9]{8}$/),
        function: { index: 1, name: 'get_weather', arguments: { city: 'Berlin', unit: 'fahrenheit', days: 3 } },
      },
    ],
    undefined,
  ])
  expect(lines.at(-1)).toMatchObject({ done: true, done_reason: 'stop', eval_count: 2 })
})

it('calls different tools in parallel and answers whole with all calls', async () => {
  const node = await startNode()
  const question = 'Tell me the weather in Paris and the current time.'
  const whole = await postJson(node, '/api/chat', ask(question, { tools: [weather, clock], stream: false }))
  expect(whole).toMatchObject({
    message: {
      content: '',
      tool_calls: [{ function: { name: 'get_weather' } }, { function: { name: 'current_time' } }],
    },
  })
})

it('quotes every tool result of the last turn in text', async () => {
  const node = await startNode()
  const messages = [
    { role: 'user', content: 'weather in Paris and Rome' },
    {
      role: 'assistant',
      content: '',
      tool_calls: [{ id: 'call_1', function: { name: 'get_weather', arguments: { city: 'Paris' } } }],
    },
    { role: 'tool', tool_call_id: 'call_1', content: '21 degrees' },
    { role: 'tool', tool_name: 'get_weather', content: '25 degrees' },
  ]
  const lines = await postLines(node, '/api/chat', { model: 'llama3.2:3b', messages, tools: [weather] })
  expect(joined(lines)).toBe('[demo node] Tool get_weather returned: 21 degrees\nTool get_weather returned: 25 degrees')
})

it('answers in text when no tool fits the question', async () => {
  const node = await startNode()
  const whole = await postJson(node, '/api/chat', ask('Write me a poem', { tools: [weather], stream: false }))
  expect(inMessage(whole, 'tool_calls')).toBeUndefined()
  expect(inMessage(whole, 'content')).toContain('[demo node]')
})

it('matches by full name, by a word of the name and by two words of the description', () => {
  const tools = [
    { name: 'searchDocuments', description: '', parameters: {} },
    { name: 'calc', description: 'Adds and multiplies numbers', parameters: {} },
  ]
  expect(matchTools('please search something', tools).map((tool) => tool.name)).toEqual(['searchDocuments'])
  expect(matchTools('he multiplies numbers', tools).map((tool) => tool.name)).toEqual(['calc'])
  expect(matchTools('use calc', tools).map((tool) => tool.name)).toEqual(['calc'])
  expect(matchTools('good morning', tools)).toEqual([])
})

it('never repeats a call id within a node', () => {
  const tool = { name: 'ping', description: '', parameters: {} }
  const ids = Array.from({ length: 500 }, (_, turn) => chooseToolCalls('ping', [tool], turn)[0]?.id)
  expect(new Set(ids).size).toBe(500)
})

import { describe, expect, it } from 'vitest'
import { errorIn } from '../../support/client-error.ts'
import { type Sent, startGateway } from '../../support/gateway.ts'

const completion = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-4o',
  choices: [{ index: 0, message: { role: 'assistant', content: ' there was a fox.' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 },
}

const chunk = (fields: object) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'gpt-4o',
  ...fields,
})
const chunks = [
  chunk({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] }),
  chunk({ choices: [{ index: 0, delta: { content: ' there was' }, finish_reason: null }] }),
  chunk({ choices: [{ index: 0, delta: { content: ' a fox.' }, finish_reason: null }] }),
  chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
  chunk({ choices: [], usage: completion.usage }),
]

function vendor({ body }: Sent): Response {
  if (body.stream !== true) return Response.json(completion)
  const events = chunks.map((event) => `data: ${JSON.stringify(event)}\n\n`)
  return new Response(`${events.join('')}data: [DONE]\n\n`, { headers: { 'content-type': 'text/event-stream' } })
}

const start = () => startGateway({ upstream: vendor })
const prompt = { model: 'gpt-4o', prompt: 'Once upon a time' }
const dataOf = (text: string) =>
  text
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice(6)))

describe('the legacy text endpoint', () => {
  it('asks a chat model with one message and answers in the old shape', async () => {
    const gateway = await start()
    const response = await gateway.call('/v1/completions', prompt)
    expect(await response.json()).toEqual({
      ...completion,
      id: 'cmpl-1',
      object: 'text_completion',
      choices: [{ text: ' there was a fox.', index: 0, logprobs: null, finish_reason: 'stop' }],
    })
    expect(gateway.sent[0]?.body).toMatchObject({ messages: [{ role: 'user', content: 'Once upon a time' }] })
    expect(gateway.sent[0]?.body).not.toHaveProperty('prompt')
    expect(await gateway.rows()).toMatchObject([{ operation: 'completion', prompt_tokens: 3, completion_tokens: 5 }])
  })

  it.each(['/v1/completions', '/v1/completions/stream'])('streams from %s', async (path) => {
    const gateway = await start()
    const response = await gateway.call(path, { ...prompt, stream: true, stream_options: { include_usage: true } })
    const text = await response.text()
    const events = dataOf(text)
    expect(events.flatMap(({ choices }) => choices.map((choice: { text: string }) => choice.text)).join('')).toBe(
      ' there was a fox.',
    )
    expect(events.every(({ id, object }) => id === 'cmpl-1' && object === 'text_completion')).toBe(true)
    expect(events.at(-1)).toMatchObject({ choices: [], usage: completion.usage })
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
  })

  it('puts the prompt before the answer when it shall be echoed', async () => {
    const gateway = await start()
    const whole = (await (await gateway.call('/v1/completions', { ...prompt, echo: true })).json()) as typeof completion
    expect(whole.choices[0]).toMatchObject({ text: 'Once upon a time there was a fox.' })
    const streamed = await (await gateway.call('/v1/completions', { ...prompt, echo: true, stream: true })).text()
    const texts = dataOf(streamed).flatMap(({ choices }) => choices.map((choice: { text: string }) => choice.text))
    expect(texts.join('')).toBe('Once upon a time there was a fox.')
  })

  it.each([-1_000_000_000, 0, 1.5, '100', [[5]], false])('refuses %j as the most that may be written', async (most) => {
    const gateway = await start()
    const response = await gateway.call('/v1/completions', { ...prompt, max_completion_tokens: most })
    expect(await errorIn(response)).toMatchObject({ status: 400, param: 'max_completion_tokens' })
  })

  it('reports what a chat model cannot do with the body', async () => {
    const gateway = await start()
    const response = await gateway.call('/v1/completions', { ...prompt, suffix: 'end', best_of: 2, logprobs: 1 })
    expect(response.headers.get('x-helix-ignored-params')).toBe('suffix,best_of,logprobs')
    expect(gateway.sent[0]?.body).not.toHaveProperty('best_of')
  })

  it.each([
    [{ prompt: undefined }, 'prompt'],
    [{ prompt: ['one', 'two'] }, 'prompt'],
    [{ prompt: [1, 2] }, 'prompt'],
    [{ best_of: 6 }, 'best_of'],
    [{ temperature: 3 }, 'temperature'],
  ])('refuses %j and names the field', async (change, param) => {
    const gateway = await start()
    const response = await gateway.call('/v1/completions', { ...prompt, ...change })
    expect(response.status).toBe(400)
    const { error } = (await response.json()) as { error: { param: string } }
    expect(error.param).toContain(param)
    expect(gateway.sent).toHaveLength(0)
  })
})

describe('a strict caller of the legacy endpoint', () => {
  const strict = { ...prompt, helix: { strict: true } }

  it.each([{ suffix: 'The end.' }, { best_of: 3 }, { logprobs: 2 }])(
    'is refused what would be lost: %j',
    async (extra) => {
      const gateway = await start()
      const response = await gateway.call('/v1/completions', { ...strict, ...extra })
      const [param] = Object.keys(extra)
      expect(await errorIn(response)).toMatchObject({ status: 400, code: 'invalid_request', param })
      expect(gateway.sent).toEqual([])
    },
  )

  it('is served where nothing is lost', async () => {
    const { call } = await start()
    const response = await call('/v1/completions', { ...strict, best_of: 1, suffix: '', logprobs: null })
    expect([response.status, response.headers.get('x-helix-ignored-params')]).toEqual([200, null])
    expect(response.headers.get('x-helix-cost-usd')).toBe('0.0000575')
  })
})

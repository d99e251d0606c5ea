import { describe, expect, it } from 'vitest'
import { readClient } from '../../support/client-events.ts'
import { secretOf, startGateway } from '../../support/gateway.ts'

const chunkOf = (delta: object) =>
  `data: ${JSON.stringify({ id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta, finish_reason: 'stop' }] })}\n\n`

const ask = (extra: object = {}) => ({
  model: 'openai/m',
  messages: [{ role: 'user', content: 'Hi' }],
  stream: true,
  ...extra,
})

describe('headers', () => {
  const upstreamHeaders = {
    'content-type': 'text/event-stream',
    'set-cookie': 'session=1',
    'x-request-id': 'req_of_the_vendor',
    'openai-organization': 'org-of-ours',
    'anthropic-organization-id': 'org-of-ours',
    'x-ratelimit-remaining-requests': '7',
    server: 'cloudflare',
    'cf-ray': '1',
  }
  const answers = (content: string) => `${chunkOf({ role: 'assistant', content })}data: [DONE]\n\n`

  it('of a vendor stay with us', async () => {
    const gateway = await startGateway({ upstream: () => new Response(answers('Hi'), { headers: upstreamHeaders }) })
    const response = await gateway.chat(ask())
    expect((await readClient(response)).text).toBe('Hi')
    const told = Object.fromEntries(response.headers)
    expect(told['x-request-id']).toMatch(/^req_/)
    expect(told['x-request-id']).not.toBe(upstreamHeaders['x-request-id'])
    for (const name of Object.keys(upstreamHeaders).filter((one) => !/^(content-type|x-request-id)$/.test(one))) {
      expect(told).not.toHaveProperty(name)
    }
  })

  it('and words of one vendor do not reach the next, nor do the caller’s', async () => {
    const gateway = await startGateway({
      vendors: ['openai', 'groq'],
      upstream: ({ to }) =>
        to === 'openai'
          ? new Response('{"error":{"message":"down"}}', { status: 500, headers: upstreamHeaders })
          : new Response(answers('from groq'), { headers: { 'content-type': 'text/event-stream' } }),
    })
    const callers = {
      cookie: 'a=b',
      'openai-organization': 'org-of-the-caller',
      'openai-beta': 'assistants=v2',
      'anthropic-beta': 'x',
      'x-stainless-lang': 'js',
      'x-forwarded-for': '192.0.2.1',
      'x-client-request-id': 'callers-own-id',
    }
    const body = ask({ helix: { fallback_models: ['groq/m'] } })
    const response = await gateway.chat(body, { headers: callers })
    expect((await readClient(response)).text).toBe('from groq')
    expect(response.headers.get('x-helix-provider')).toBe('groq')
    const groq = gateway.sent.findLast(({ to }) => to === 'groq')
    expect([...(groq?.headers ?? [])]).toEqual([
      ['accept', 'text/event-stream'],
      ['authorization', `Bearer ${secretOf('groq')}`],
      ['content-type', 'application/json'],
    ])
    expect(JSON.stringify(groq?.body)).not.toMatch(/helix|openai|down/)
    for (const { to, headers } of gateway.sent) expect(headers.get('authorization')).toBe(`Bearer ${secretOf(to)}`)
  })

  it('carry names that no header can carry in a form that one can', async () => {
    const gateway = await startGateway({
      nodeModels: ['m:1b'],
      upstream: () =>
        Response.json({
          model: 'm:1b',
          message: { role: 'assistant', content: 'Hi' },
          done: true,
          done_reason: 'stop',
        }),
    })
    const body = { model: 'ollama/m:1b', messages: [{ role: 'user', content: 'Hi' }], 'schön\r\nx: y': 1, '\ud800': 2 }
    const response = await gateway.chat(body)
    expect(response.status).toBe(200)
    expect(response.headers.get('x-helix-ignored-params')).toBe('sch%C3%B6n%0D%0Ax:%20y,%EF%BF%BD')
  })
})

describe('a caller who wants all of a request or nothing', () => {
  const body = {
    messages: [{ role: 'user', content: 'Hi' }],
    user: 'someone',
    helix: { strict: true },
  }

  it('is refused before a vendor that would lose a field is asked', async () => {
    const gateway = await startGateway({ vendors: ['mistral'] })
    const response = await gateway.chat({ ...body, model: 'mistral/m' })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { param: 'user', code: 'unsupported_parameter' } })
    expect(gateway.sent).toEqual([])
    expect(await gateway.rows()).toMatchObject([{ status: 'error', prompt_tokens: 0, cost_nanos: 0 }])
  })

  it('is served by a vendor that loses none', async () => {
    const choices = [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }]
    const gateway = await startGateway({ upstream: () => Response.json({ id: 'c', model: 'm', choices }) })
    expect((await gateway.chat({ ...body, model: 'openai/m' })).status).toBe(200)
    expect(gateway.sent).toHaveLength(1)
  })
})

describe('a call that nobody answers', () => {
  const body = { model: 'gpt-4o', messages: [{ role: 'user', content: 'A few words' }] }

  it.each([true, false])('in time is booked with its prompt, which the vendor has (stream: %s)', async (stream) => {
    const gateway = await startGateway({ upstream: () => new Promise(() => {}) })
    const response = await gateway.chat({ ...body, stream, helix: { timeout_ms: 1000 } })
    expect(response.status).toBe(504)
    const [row] = await gateway.rows()
    expect(row).toMatchObject({
      status: 'error',
      error_code: 'upstream_timeout',
      estimated: true,
      completion_tokens: 0,
    })
    expect(row?.prompt_tokens).toBeGreaterThan(3)
    expect(row?.cost_nanos).toBeGreaterThan(0)
  })

  it('because nobody could be reached costs nothing', async () => {
    const gateway = await startGateway()
    expect((await gateway.chat(body)).status).toBe(502)
    expect(await gateway.rows()).toMatchObject([{ status: 'error', estimated: false, prompt_tokens: 0, cost_nanos: 0 }])
  })
})

describe('a vendor without a model', () => {
  it.each(['openai/', 'deepseek/'])('is no target: %s', async (model) => {
    const gateway = await startGateway({ vendors: ['openai', 'deepseek'] })
    const response = await gateway.chat({ model, messages: [{ role: 'user', content: 'Hi' }] })
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ error: { code: 'model_not_found', param: 'model' } })
    expect(gateway.sent).toEqual([])
  })
})

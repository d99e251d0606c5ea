import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readClient } from '../../support/client-events.ts'
import { secretOf, startGateway } from '../../support/gateway.ts'
import { count } from '../../support/lane.ts'
import { type BodyEnd, scriptedBody } from '../../support/scripted-body.ts'
import { checkUsage } from './streams.ts'

const seed = 20_260_801

type Event =
  | { kind: 'text' | 'thought'; choice: number; text: string }
  | { kind: 'tool'; choice: number; call: number; text: string }
  | { kind: 'finish'; choice: number }
  | { kind: 'usage'; prompt: number; completion: number }
  | { kind: 'comment' | 'role' | 'error' | 'nonsense' }

const choice = fc.nat(2)
const words = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('text' as const), choice, text: words }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('thought' as const), choice, text: words }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('tool' as const), choice, call: fc.nat(1), text: words }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('finish' as const), choice }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('usage' as const),
      prompt: fc.integer({ min: -5, max: 500 }),
      completion: fc.integer({ min: -5, max: 500 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('comment' as const, 'role' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('error' as const, 'nonsense' as const) }) },
)

const chunk = (choices: unknown[], extra: object = {}) =>
  `data: ${JSON.stringify({ id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'm', choices, ...extra })}\n\n`

function bytesOf(one: Event): string {
  switch (one.kind) {
    case 'text':
      return chunk([{ index: one.choice, delta: { content: one.text }, finish_reason: null }])
    case 'thought':
      return chunk([{ index: one.choice, delta: { reasoning_content: one.text } }])
    case 'tool': {
      const call = { index: one.call, id: `call_${one.call}`, function: { name: 'f', arguments: one.text } }
      return chunk([{ index: one.choice, delta: { tool_calls: [call] } }])
    }
    case 'finish':
      return chunk([{ index: one.choice, delta: {}, finish_reason: 'stop' }])
    case 'usage': {
      const usage = { prompt_tokens: one.prompt, completion_tokens: one.completion, total_tokens: -1 }
      return chunk([], { usage })
    }
    case 'role':
      return chunk([{ index: 0, delta: { role: 'assistant', content: '' } }])
    case 'comment':
      return ': still here\n\n'
    case 'error':
      return 'data: {"error":{"message":"no more","type":"server_error"}}\n\n'
    case 'nonsense':
      return 'data: {"id":\n\n'
  }
}

const ask = (extra: object = {}) => ({
  model: 'openai/m',
  messages: [{ role: 'user', content: 'Hi' }],
  n: 3,
  stream: true,
  stream_options: { include_usage: true },
  ...extra,
})

const textsOf = (events: readonly Event[]) => events.map((one) => (one.kind === 'text' ? one.text : '')).join('')

describe('whatever a vendor sends', () => {
  it('a stream has one end, a choice at most one finish, and the call one row', async () => {
    const gateway = await startGateway()
    const end = fc.constantFrom<BodyEnd>('eof', 'reset')
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 25 }), fc.boolean(), end, async (events, saysDone, how) => {
        gateway.heal()
        const before = (await gateway.rows()).length
        const pieces = [...events.map(bytesOf), ...(saysDone ? ['data: [DONE]\n\n'] : [])]
        gateway.upstream(({ signal }) => scriptedBody(pieces, { end: how, signal }).response)
        const client = await readClient(await gateway.chat(ask()))
        checkUsage(client)
        for (const reasons of Object.values(client.finish)) expect(reasons).toHaveLength(1)
        if (client.status === 200) {
          expect(client.done).toBe(client.errors.length === 0)
          expect(client.errors.length).toBeLessThanOrEqual(1)
          const begun = new Set(client.chunks.flatMap(({ choices }) => choices.map(({ index }) => String(index))))
          expect(Object.keys(client.finish).sort()).toEqual([...begun].sort())
          if (client.done && !saysDone) expect(begun.size).toBe(3)
        }
        expect(textsOf(events).startsWith(client.text)).toBe(true)
        if (client.done) {
          const bad = events.findIndex(({ kind }) => kind === 'error' || kind === 'nonsense')
          expect(client.text).toBe(textsOf(bad < 0 ? events : events.slice(0, bad)))
        }
        const rows = (await gateway.rows()).slice(before)
        expect(rows).toHaveLength(1)
        expect(rows[0]?.status).toBe(client.done ? 'ok' : 'error')
      }),
      { numRuns: count(300, 5000), seed },
    )
  })

  it('the last cumulative usage is booked, and it alone', async () => {
    const gateway = await startGateway()
    const figures = fc.array(fc.tuple(fc.nat(1000), fc.nat(1000)), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(figures, async (given) => {
        const pieces = [
          ...given.flatMap(([prompt, completion]) => [
            bytesOf({ kind: 'text', choice: 0, text: 'word' }),
            bytesOf({ kind: 'usage', prompt, completion }),
          ]),
          bytesOf({ kind: 'finish', choice: 0 }),
          'data: [DONE]\n\n',
        ]
        gateway.upstream(() => scriptedBody(pieces).response)
        const client = await readClient(await gateway.chat(ask()))
        const [prompt, completion] = given.at(-1) ?? []
        expect(client.usages).toMatchObject([{ prompt_tokens: prompt, completion_tokens: completion }])
        const row = (await gateway.rows()).at(-1)
        expect(row).toMatchObject({ prompt_tokens: prompt, completion_tokens: completion, estimated: false })
      }),
      { numRuns: count(30, 300), seed },
    )
  })

  it('a provisional usage of zeros does not make an interrupted answer free', async () => {
    const gateway = await startGateway()
    const pieces = [
      bytesOf({ kind: 'usage', prompt: 0, completion: 0 }),
      ...Array.from({ length: 10 }, () => bytesOf({ kind: 'text', choice: 0, text: 'word' })),
    ]
    gateway.upstream(() => scriptedBody(pieces, { end: 'reset' }).response)
    expect((await readClient(await gateway.chat(ask()))).errors).toHaveLength(1)
    const row = (await gateway.rows()).at(-1)
    expect(row).toMatchObject({ status: 'error', estimated: true, completion_tokens: 10 })
    expect(row?.prompt_tokens).toBeGreaterThan(0)
  })

  it('a choice that a vendor forgets to finish before [DONE] is finished', async () => {
    const gateway = await startGateway()
    const tool = bytesOf({ kind: 'tool', choice: 1, call: 0, text: '{}' })
    const pieces = [bytesOf({ kind: 'text', choice: 0, text: 'a' }), tool, 'data: [DONE]\n\n']
    gateway.upstream(() => scriptedBody(pieces).response)
    const client = await readClient(await gateway.chat(ask()))
    expect(client).toMatchObject({ done: true, finish: { 0: ['stop'], 1: ['tool_calls'] } })
  })
})

describe('a caller who hangs up', () => {
  const endless = function* () {
    for (;;) yield bytesOf({ kind: 'text', choice: 0, text: 'word' })
  }

  it('anywhere in a stream ends the vendor’s work at once, and pays for what was delivered', async () => {
    const gateway = await startGateway()
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 40 }), fc.boolean(), async (reads, bySignal) => {
        const caller = new AbortController()
        gateway.upstream(({ signal }) => scriptedBody(endless(), { signal }).response)
        const response = await gateway.chat(ask(), { signal: caller.signal })
        const reader = response.body?.getReader()
        for (let read = 0; read < reads; read++) await reader?.read()
        const sent = gateway.sent.at(-1)
        expect(sent?.signal.aborted).toBe(false)
        const leftMs = performance.now()
        if (bySignal) caller.abort()
        else await reader?.cancel()
        const row = (await gateway.rows()).at(-1)
        expect(sent?.signal.aborted).toBe(true)
        expect(performance.now() - leftMs).toBeLessThan(100)
        expect(row).toMatchObject({ status: 'aborted', estimated: true, error_code: null })
        expect(row?.completion_tokens).toBeGreaterThanOrEqual(reads)
        expect(row?.completion_tokens).toBeLessThanOrEqual(reads + 2)
      }),
      { numRuns: count(40, 400), seed },
    )
  })

  it.each([true, false])('before the first byte ends the vendor’s work as well (stream: %s)', async (stream) => {
    const gateway = await startGateway({ upstream: () => new Promise(() => {}) })
    const caller = new AbortController()
    const answering = gateway.chat(
      { model: 'openai/m', messages: [{ role: 'user', content: 'Hi' }], stream },
      { signal: caller.signal },
    )
    await expect.poll(() => gateway.sent.length).toBe(1)
    caller.abort()
    expect(gateway.sent[0]?.signal.aborted).toBe(true)
    expect((await answering).status).toBe(502)
    expect(await gateway.rows()).toMatchObject([{ status: 'aborted', estimated: true, completion_tokens: 0 }])
    expect(gateway.sent).toHaveLength(1)
  })

  it('before anything was sent costs nothing, and what was held is free again', async () => {
    const budgets = [{ id: 'bud_1', window: 'total' as const, limitNanoUsd: 1_000_000_000 }]
    const gateway = await startGateway({ policy: { budgets } })
    const response = await gateway.chat(
      { model: 'gpt-4o', messages: [{ role: 'user', content: 'Hi' }] },
      { signal: AbortSignal.abort() },
    )
    expect(response.status).toBe(400)
    expect(await gateway.rows()).toEqual([])
    expect(gateway.sent).toEqual([])
    expect([gateway.ledger.calls().hold, gateway.ledger.openHolds()]).toEqual([1, 0])
  })
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
  const answers = (content: string) =>
    `${chunk([{ index: 0, delta: { role: 'assistant', content }, finish_reason: 'stop' }])}data: [DONE]\n\n`

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

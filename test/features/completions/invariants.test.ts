import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readClient } from '../../support/client-events.ts'
import { startGateway } from '../../support/gateway.ts'
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
      { numRuns: count(150, 5000), seed },
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
        if (bySignal) caller.abort()
        else await reader?.cancel()
        // At once: nothing is waited for in between.
        expect(sent?.signal.aborted).toBe(true)
        const row = (await gateway.rows()).at(-1)
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

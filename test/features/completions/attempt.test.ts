import { describe, expect, it } from 'vitest'
import type { ChatCall, ChatStream, Provider, StreamPart } from '../../../src/core/models.ts'
import { attemptChat } from '../../../src/features/completions/attempt.ts'
import { readClient } from '../../support/client-events.ts'
import { fakeDeps, fakePolicy } from '../../support/fake-deps.ts'
import { startGateway } from '../../support/gateway.ts'
import { askedOf, targetOf } from './world.ts'

const chunk = (delta: object, extra: object = {}) =>
  `data: ${JSON.stringify({ id: 'c1', created: 1, model: 'm', choices: [{ index: 0, delta, ...extra }] })}\n\n`

const admission = {
  policy: fakePolicy(),
  held: false,
  openBreakers: new Map(),
  cached: undefined,
  tokenCharges: [],
  requests: undefined,
  tokens: undefined,
}
const world = { ...fakeDeps({ now: () => 0 }), requestId: 'req_1', admission, startedMs: 0, defer: () => undefined }

const finish: StreamPart = { chunk: { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }, json: '' }

const { signal } = new AbortController()

describe('an attempt', () => {
  it('that stumbles over a stream ends the vendor’s work and counts as its failure', async () => {
    let cancelled = false
    const part: StreamPart = {
      json: '',
      get chunk(): never {
        throw new TypeError('not what it seemed')
      },
    }
    const cancel = () => {
      cancelled = true
    }
    const stream: ChatStream = { read: async () => [part], cancel }
    const target = targetOf('openai', 'gpt-4o')
    const provider = { ...target.provider, chat: async () => ({ kind: 'stream' as const, stream, ignored: [] }) }
    const attempt = attemptChat(
      world,
      { target: { ...target, provider } },
      { asked: askedOf({ stream: true }), signal },
    )
    await expect(attempt).rejects.toMatchObject({ name: 'UpstreamError', fault: 'garbage' })
    expect(cancelled).toBe(true)
  })

  it.each([
    ['what the model can write, where the caller set no limit', 'anthropic', 'claude-haiku-4-5', undefined, 64_000],
    ['the caller’s limit', 'anthropic', 'claude-haiku-4-5', 100, 100],
    ['nothing to a vendor that needs no limit', 'openai', 'gpt-4o', undefined, undefined],
  ] as const)('states %s', async (_name, vendor, model, maxTokens, stated) => {
    let call: ChatCall | undefined
    const target = targetOf(vendor, model)
    const provider: Provider = {
      ...target.provider,
      wire: vendor,
      chat: async (given) => {
        call = given
        return { kind: 'stream', stream: { read: async () => [finish], cancel: () => undefined }, ignored: [] }
      },
    }
    const asked = askedOf({ max_tokens: maxTokens })
    await attemptChat(world, { target: { ...target, provider } }, { asked, signal })
    expect(call?.maxOutputTokens).toBe(stated)
  })

  it.each([
    ['a call that is null', { tool_calls: [null] }],
    ['calls that are null beside an old one', { tool_calls: null, function_call: { name: 'f', arguments: '{}' } }],
    ['calls that are no list', { tool_calls: 4 }],
    ['content that cannot be text', { content: { toString: 1, valueOf: 1 } }],
  ])('outlives %s', async (_name, delta) => {
    const said = [chunk(delta), chunk({ content: 'Hi' }), chunk({}, { finish_reason: 'stop' }), 'data: [DONE]\n\n']
    const headers = { 'content-type': 'text/event-stream' }
    const gateway = await startGateway({ upstream: () => new Response(said.join(''), { headers }) })
    const body = { model: 'openai/m', messages: [{ role: 'user', content: 'Hi' }], stream: true }
    const client = await readClient(await gateway.chat(body))
    expect(client).toMatchObject({ status: 200, text: 'Hi', done: true, finish: { 0: ['stop'] } })
    expect(await gateway.rows()).toMatchObject([{ status: 'ok' }])
  })
})

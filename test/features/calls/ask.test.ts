import { describe, expect, it } from 'vitest'
import type { Limit } from '../../../src/core/admission.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { ask, embedTexts } from '../../../src/features/calls/service.ts'
import { readOpenCall, unknownSettlement } from '../../../src/features/ledger/unknown.ts'
import { type Sent, startGateway } from '../../support/gateway.ts'
import { budget, completion, nodeAnswer, OUTER, question, startCalls, yes } from './world.ts'

const never = () => new Promise<Response>(() => {})
const budgets = [budget]
const nodeModels = ['llama3']

const limit = (given: Partial<Limit>): Limit => ({
  id: 'lim_1',
  subject: 'key',
  metric: 'requests',
  algorithm: 'fixed_window',
  window: 'month',
  amount: 1,
  mode: 'enforce',
  ...given,
})

describe('a question inside a request', () => {
  it('is answered, and booked under an id of its own that names the request', async () => {
    const { ctx, rows, ledger } = await startCalls({ policy: { budgets } })
    const reply = await ask(ctx(), question())
    expect(reply).toMatchObject({
      text: 'yes',
      target: { id: 'openai/gpt-4o-mini', provider: 'openai', model: 'gpt-4o-mini' },
      usage: { prompt: 100, completion: 10 },
    })
    const [row, ...others] = await rows()
    expect(others).toEqual([])
    expect(row).toMatchObject({ operation: 'chat', status: 'ok', parent_request_id: OUTER, prompt_tokens: 100 })
    expect(row?.request_id).not.toBe(OUTER)
    expect(reply.costNanoUsd).toBe(row?.cost_nanos)
    expect(row?.cost_nanos).toBeGreaterThan(0)
    expect(ledger.calls()).toMatchObject({ hold: 1, settle: 1, release: 0 })
    expect([ledger.openHolds(), ledger.heldNanoUsd()]).toEqual([0, 0])
    expect(ledger.decisions()).toMatchObject([
      { request_id: row?.request_id, chosen: 'openai/gpt-4o-mini', task_type: 'question_answering', outcome: 'ok' },
    ])
  })

  it('asks Redis once, and reads no record there', async () => {
    const { ctx, redis } = await startCalls()
    redis.forget('')
    const before = redis.requests()
    await ask(ctx(), question())
    expect(redis.requests() - before).toBe(1)
  })

  it('leaves the log and the decision of its request alone', async () => {
    const { ctx, rows } = await startCalls()
    const response = new Promise<never>(() => {})
    const about = { requestId: OUTER, method: 'POST', path: '/api/v1/x', ip: '192.0.2.1', userAgent: null }
    const arrival = { ...about, clientRequestId: undefined, bytesIn: 1, response, isBooked: false }
    await ask(ctx({ arrival }), question())
    expect(await rows()).toHaveLength(1)
    expect(arrival).toEqual({ ...about, clientRequestId: undefined, bytesIn: 1, response, isBooked: false })
  })

  it('sends what was asked and nothing of ours', async () => {
    const { ctx, sent } = await startCalls({ nodeModels })
    await ask(ctx(), question({ model: 'ollama/llama3', temperature: 0, logprobs: true, topLogprobs: 3 }))
    await ask(ctx(), question({ fallbacks: ['ollama/llama3'], timeoutMs: 5000, priority: 'high' }))
    expect(sent[0]?.body).toMatchObject({
      stream: false,
      logprobs: true,
      top_logprobs: 3,
      options: { num_predict: 50 },
    })
    expect(Object.keys(sent[1]?.body ?? {}).sort()).toEqual(['max_completion_tokens', 'messages', 'model'])
  })

  it('tells how probable the tokens of a node were', async () => {
    const logprobs = [{ token: 'yes', logprob: -0.1, top_logprobs: [{ token: 'no', logprob: -2 }] }]
    const { ctx } = await startCalls({ nodeModels, upstream: () => nodeAnswer('yes', { logprobs }) })
    const { completion: told } = await ask(ctx(), question({ model: 'llama3', logprobs: true }))
    expect(told.choices[0]?.logprobs).toMatchObject({
      content: [{ token: 'yes', logprob: -0.1, top_logprobs: [{ token: 'no', logprob: -2 }] }],
    })
  })

  it('is not answered from the cache, nor kept there', async () => {
    const routing = {
      id: 'rpol_1',
      version: 1,
      strategy: 'priority' as const,
      targets: [],
      fallbacks: {},
      cache: { mode: 'exact' as const, ttlSeconds: 60, scope: 'org' as const },
    }
    const { ctx, sent, ledger, rows } = await startCalls({ policy: { routing } })
    await ask(ctx(), question({ temperature: 0 }))
    await ask(ctx(), question({ temperature: 0 }))
    await rows()
    expect(sent).toHaveLength(2)
    expect(ledger.decisions().map(({ cache }) => cache)).toEqual(['off', 'off'])
  })

  it('that no schema takes is refused before anything is asked', async () => {
    const { ctx, sent, redis } = await startCalls()
    const before = redis.requests()
    await expect(ask(ctx(), question({ model: 'm'.repeat(300) }))).rejects.toMatchObject({ code: 'invalid_request' })
    expect([sent.length, redis.requests() - before]).toEqual([0, 0])
  })
})

describe('what a question holds', () => {
  it('is settled once when the vendor fails', async () => {
    const { ctx, rows, ledger } = await startCalls({
      policy: { budgets },
      upstream: () => new Response('broken', { status: 500 }),
    })
    await expect(ask(ctx(), question())).rejects.toMatchObject({ code: 'provider_error' })
    expect(await rows()).toMatchObject([{ status: 'error', error_code: 'provider_error', parent_request_id: OUTER }])
    expect(ledger.calls()).toMatchObject({ hold: 1, settle: 1, release: 0 })
    expect([ledger.openHolds(), ledger.heldNanoUsd()]).toEqual([0, 0])
  })

  it('is settled once for what was read when the vendor is silent', async () => {
    const { ctx, rows, ledger } = await startCalls({ policy: { budgets }, upstream: never })
    await expect(ask(ctx(), question({ timeoutMs: 200 }))).rejects.toMatchObject({ code: 'upstream_timeout' })
    const [row, ...others] = await rows()
    expect(others).toEqual([])
    expect(row).toMatchObject({ status: 'error', error_code: 'upstream_timeout', estimated: true })
    expect(row?.prompt_tokens).toBeGreaterThan(0)
    expect(ledger.calls()).toMatchObject({ hold: 1, settle: 1 })
    expect([ledger.openHolds(), ledger.heldNanoUsd()]).toEqual([0, 0])
  })

  it('is settled once when the caller leaves, and the vendor is told', async () => {
    const { ctx, rows, ledger, sent } = await startCalls({ policy: { budgets }, upstream: never })
    const caller = new AbortController()
    const asking = ask(ctx({ signal: caller.signal }), question()).catch((error: unknown) => error)
    await expect.poll(() => sent.length).toBe(1)
    caller.abort()
    expect(await asking).toBeInstanceOf(Error)
    expect(sent[0]?.signal.aborted).toBe(true)
    expect(await rows()).toMatchObject([{ status: 'aborted', error_code: null, parent_request_id: OUTER }])
    expect(ledger.calls()).toMatchObject({ hold: 1, settle: 1 })
    expect(ledger.openHolds()).toBe(0)
  })

  it('is settled although whoever asked waits for it no more', async () => {
    const caller = new AbortController()
    const deferred: Promise<unknown>[] = []
    const { ctx, ledger, sent } = await startCalls({ policy: { budgets }, upstream: never })
    const outer = ctx({ signal: caller.signal, defer: (work) => void deferred.push(work) })
    for (const asking of [
      ask(outer, question()),
      embedTexts(outer, { model: 'text-embedding-3-small', texts: ['a'] }),
    ]) {
      asking.catch(() => undefined)
    }
    await expect.poll(() => sent.length).toBe(2)
    caller.abort()
    while (deferred.length > 0) await Promise.allSettled(deferred.splice(0))
    expect([ledger.calls().hold, ledger.settlements()]).toEqual([2, 2])
    expect(ledger.openHolds()).toBe(0)
  })

  it('is released when the caller has left before', async () => {
    const { ctx, rows, ledger, sent } = await startCalls({ policy: { budgets } })
    await expect(ask(ctx({ signal: AbortSignal.abort() }), question())).rejects.toThrow()
    expect([await rows(), sent.length, ledger.openHolds()]).toEqual([[], 0, 0])
  })

  it('is too much for a budget that is used up: nobody is asked', async () => {
    const { ctx, rows, ledger, sent } = await startCalls({ policy: { budgets: [{ ...budget, limitNanoUsd: 10 }] } })
    await expect(ask(ctx(), question())).rejects.toMatchObject({ code: 'insufficient_quota' })
    expect([await rows(), sent.length, ledger.openHolds()]).toEqual([[], 0, 0])
  })

  it('is not used up by what a whole series of questions has held before', async () => {
    const { ctx, ledger, rows } = await startCalls({ policy: { budgets: [{ ...budget, limitNanoUsd: 1_000_000 }] } })
    // Each holds some 60 000, and costs 21 000.
    for (let at = 0; at < 20; at += 1) await ask(ctx(), question())
    expect((await rows()).length).toBe(20)
    expect(ledger.openHolds()).toBe(0)
  })

  it('is a place under a limit of calls at once', async () => {
    const concurrency = limit({ metric: 'concurrency', algorithm: 'concurrency', window: undefined, amount: 1 })
    const { ctx, ledger, rows } = await startCalls({ policy: { limits: [concurrency] } })
    await ask(ctx(), question())
    await rows()
    expect(ledger.calls()).toMatchObject({ hold: 1, settle: 1 })
  })

  it('is known to be the request’s also if the call is never heard of again', async () => {
    const { ctx, redis } = await startCalls({ policy: { budgets } })
    await ask(ctx(), question())
    const [open = ''] = redis.fields(redisKeys.open('org_1')).values()
    const call = readOpenCall(open)
    expect(call && unknownSettlement(call, 'led_1', 0).row).toMatchObject({
      parent_request_id: OUTER,
      status: 'unknown',
    })
  })

  it('is held by the ledger alone while Redis is away', async () => {
    const { ctx, redis, ledger, rows } = await startCalls({ policy: { budgets } })
    redis.away(true)
    expect((await ask(ctx(), question())).text).toBe('yes')
    expect(await rows()).toMatchObject([{ status: 'ok' }])
    expect([ledger.calls().hold, ledger.openHolds()]).toEqual([1, 0])
  })

  it('refuses the call where neither Redis nor the ledger answers', async () => {
    const { ctx, redis, ledger, sent } = await startCalls({ policy: { budgets } })
    redis.away(true)
    ledger.away(true)
    // What is to be given back cannot be told to a ledger that is away.
    const given = { defer: (work: Promise<unknown>) => void work.catch(() => undefined) }
    await expect(ask(ctx(given), question())).rejects.toMatchObject({ code: 'budget_unavailable' })
    expect(sent).toEqual([])
  })
})

describe('the limits of its caller', () => {
  it('count its tokens, and not the question as a request', async () => {
    const tokens = limit({ id: 'lim_2', metric: 'tokens', amount: 150 })
    const { ctx, sent } = await startCalls({ policy: { limits: [limit({}), tokens] } })
    await ask(ctx(), question())
    await ask(ctx(), question())
    const refused = await ask(ctx(), question()).catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'rate_limit_exceeded', details: { limit_id: 'lim_2' } })
    expect(sent).toHaveLength(2)
  })

  it('count it as a request of the provider that is asked', async () => {
    const ofProvider = limit({ subject: 'provider', target: 'openai' })
    const { ctx, sent } = await startCalls({ policy: { limits: [ofProvider] } })
    await ask(ctx(), question())
    await expect(ask(ctx(), question())).rejects.toMatchObject({ code: 'rate_limit_exceeded' })
    expect(sent).toHaveLength(1)
  })

  it('leave room for the calls that the caller makes themselves', async () => {
    const gateway = await startCalls({ policy: { limits: [limit({ amount: 1 })] } })
    for (let at = 0; at < 3; at += 1) await ask(gateway.ctx(), question())
    const body = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hi' }] }
    expect((await gateway.chat(body)).status).toBe(200)
    expect((await gateway.chat(body)).status).toBe(429)
  })
})

describe('where a question may go', () => {
  it('is where the key may: other models are 403', async () => {
    const { ctx, sent } = await startCalls({ policy: { allowedModels: ['gpt-4o'] } })
    await expect(ask(ctx(), question())).rejects.toMatchObject({ code: 'permission_denied' })
    expect(sent).toEqual([])
  })

  it('is a node for a test key, whatever it asks', async () => {
    const { ctx, sent } = await startCalls({ nodeModels, policy: { mode: 'test' } })
    expect((await ask(ctx(), question({ model: 'auto' }))).target.provider).toBe('ollama')
    await expect(ask(ctx(), question())).rejects.toMatchObject({ code: 'model_not_found' })
    expect(sent.map(({ to }) => to)).toEqual(['ollama'])
  })

  it('falls back as its caller says', async () => {
    const { ctx, sent } = await startCalls({
      nodeModels,
      upstream: (one: Sent) => (one.to === 'openai' ? new Response('busy', { status: 503 }) : yes(one)),
    })
    // Until it was asked for its models nobody knows what a node has.
    await ask(ctx(), question({ model: 'ollama/llama3' }))
    expect((await ask(ctx(), question({ fallbacks: ['ollama/llama3'] }))).target.id).toBe('ollama/llama3')
    expect(sent.map(({ to }) => to)).toEqual(['ollama', 'openai', 'ollama'])
  })

  it.each(['auto', 'auto:cost', 'auto:smart'])('is never a vendor for %s of nodes only', async (model) => {
    const { ctx, sent } = await startCalls({ nodeModels, upstream: () => new Response('broken', { status: 500 }) })
    const asking = ask(ctx(), question({ model, nodesOnly: true, fallbacks: ['gpt-4o', 'gpt-4o-mini'] }))
    await expect(asking).rejects.toMatchObject({ code: 'provider_error' })
    expect(new Set(sent.map(({ to }) => to))).toEqual(new Set(['ollama']))
  })

  it('is never a vendor for a name that only vendors serve, nor without a node', async () => {
    const { ctx, sent } = await startCalls()
    await expect(ask(ctx(), question({ nodesOnly: true }))).rejects.toMatchObject({ code: 'model_not_found' })
    const open = ask(ctx(), question({ model: 'auto', nodesOnly: true }))
    await expect(open).rejects.toMatchObject({ code: 'no_capable_model' })
    expect(sent).toEqual([])
  })

  it('changes nothing for calls from outside', async () => {
    const { chat, sent } = await startGateway({ nodeModels, upstream: () => completion('yes') })
    await chat({ model: 'auto', messages: [{ role: 'user', content: 'Hi' }] })
    expect(sent.map(({ to }) => to)).toEqual(['openai'])
  })
})

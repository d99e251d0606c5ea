import { describe, expect, it } from 'vitest'
import type { DecisionRow } from '../../../src/core/decision.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { pricesHash } from '../../../src/features/catalog/service.ts'
import { startGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.ts'

const messages = [{ role: 'user', content: 'Hello' }]
const chat = { model: 'gpt-4o', messages }

const answer = () =>
  Response.json({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'gpt-4o',
    choices: [{ index: 0, message: { role: 'assistant', content: 'Hello!' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
  })

const event = (delta: object, finish_reason: string | null = null) =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'gpt-4o', choices: [{ index: 0, delta, finish_reason }] })}\n\n`
const streamOf = (text: string) => new Response(text, { headers: { 'content-type': 'text/event-stream' } })
const whole = event({ content: 'Hello!' }) + event({}, 'stop')

const start = (options: TestGatewayOptions = {}) => startGateway({ upstream: answer, ...options })

/** Every decision of a gateway, those of booked calls first. */
async function decisionsOf({ rows, ledger, noted }: TestGateway): Promise<readonly DecisionRow[]> {
  await rows()
  return [...ledger.decisions(), ...noted.flatMap(({ decision }) => decision ?? [])]
}

/** The only decision of a gateway; its answer has named it. */
async function decisionBehind(gateway: TestGateway, response: Response): Promise<DecisionRow> {
  await response.text()
  const made = await decisionsOf(gateway)
  expect(made.map(({ id }) => id)).toEqual([response.headers.get('x-helix-decision-id')])
  const [decision] = made
  if (!decision) throw new Error('there is no decision')
  expect(decision.request_id).toBe(response.headers.get('x-request-id'))
  return decision
}

describe('the decision of a call', () => {
  it('says what was asked, what answered, and by which policy and prices', async () => {
    const gateway = await start({ policy: { version: 'pol-7', userId: 'usr_1' } })
    const decision = await decisionBehind(gateway, await gateway.chat(chat))
    expect(decision).toMatchObject({
      id: expect.stringMatching(/^dec_[0-9a-z]{26}$/),
      org_id: 'org_1',
      key_id: 'key_1',
      user_id: 'usr_1',
      asked_model: 'gpt-4o',
      strategy: 'explicit',
      candidates: [{ target: 'openai/gpt-4o', reason: 'explicit_choice' }],
      excluded: [],
      attempts: [{ target: 'openai/gpt-4o', outcome: 'ok', duration_ms: expect.any(Number) }],
      chosen: 'openai/gpt-4o',
      outcome: 'ok',
      cache: 'off',
      is_stream: false,
      policy_version: 'pol-7',
      prices_version: pricesHash,
    })
  })

  it('holds every attempt, with what went wrong', async () => {
    const gateway = await start({
      vendors: ['openai', 'mistral'],
      upstream: ({ to }) => (to === 'openai' ? new Response('busy', { status: 503 }) : answer()),
    })
    const helix = { fallback_models: ['mistral/mistral-large-latest'] }
    const decision = await decisionBehind(gateway, await gateway.chat({ ...chat, helix }))
    expect(decision.candidates.map(({ reason }) => reason)).toEqual(['explicit_choice', 'fallback'])
    expect(decision.attempts).toMatchObject([
      { target: 'openai/gpt-4o', outcome: 'status_503' },
      { target: 'mistral/mistral-large-latest', outcome: 'ok' },
    ])
    expect(decision).toMatchObject({ chosen: 'mistral/mistral-large-latest', outcome: 'ok' })
  })

  it.each([
    ['whole', {}],
    ['streamed', { stream: true }],
  ])('that nobody answered (%s) has no target that was chosen', async (_form, more) => {
    const gateway = await start({ upstream: () => new Response('broken', { status: 500 }) })
    const response = await gateway.chat({ ...chat, ...more })
    expect(response.status).toBe(502)
    const decision = await decisionBehind(gateway, response)
    expect(decision).toMatchObject({ chosen: null, outcome: 'error' })
    expect(decision.attempts.map(({ outcome }) => outcome)).toEqual(['status_500', 'status_500', 'status_500'])
  })

  it.each([
    ['in full', whole, 'ok'],
    ['and breaks off', event({ content: 'Hello' }), 'error'],
  ])('of a stream that begins %s is told by its end', async (_name, text, outcome) => {
    const gateway = await start({ upstream: () => streamOf(outcome === 'ok' ? `${text}data: [DONE]\n\n` : text) })
    const decision = await decisionBehind(gateway, await gateway.chat({ ...chat, stream: true }))
    expect(decision).toMatchObject({ chosen: 'openai/gpt-4o', outcome, is_stream: true })
    expect(decision.attempts).toMatchObject([{ outcome: 'ok' }])
  })

  it('is there for embeddings and for messages', async () => {
    const embedding = { object: 'list', data: [{ object: 'embedding', index: 0, embedding: [1] }], model: 'm' }
    const vectors = await start({ upstream: () => Response.json(embedding) })
    const embed = await vectors.call('/v1/embeddings', { model: 'text-embedding-3-small', input: 'a' })
    expect(await decisionBehind(vectors, embed)).toMatchObject({ chosen: 'openai/text-embedding-3-small' })
    const gateway = await start()
    const message = await gateway.call('/v1/messages', { ...chat, max_tokens: 5 })
    expect(await decisionBehind(gateway, message)).toMatchObject({ chosen: 'openai/gpt-4o', outcome: 'ok' })
  })
})

describe('the decision of a call that was refused', () => {
  it('says which targets were left out, and why', async () => {
    const gateway = await start()
    await gateway.redis.pipeline([['HSET', redisKeys.target('openai/gpt-4o'), { u: String(Date.now() + 60_000) }]])
    const response = await gateway.chat(chat)
    expect(response.status).toBe(503)
    expect(await decisionBehind(gateway, response)).toMatchObject({
      strategy: 'explicit',
      candidates: [],
      excluded: [{ target: 'openai/gpt-4o', reason: 'breaker_open' }],
      attempts: [],
      chosen: null,
      outcome: 'refused',
    })
    expect(await gateway.rows()).toEqual([])
  })

  it.each([
    ['of a model that no provider serves', 'nobody-has-this', 404],
    ['of a model that its key may not use', 'gpt-4.1', 403],
  ])('names what was asked (%s)', async (_name, model, status) => {
    const gateway = await start({ policy: { allowedModels: ['gpt-4o'] } })
    const response = await gateway.chat({ ...chat, model })
    expect(response.status).toBe(status)
    const decision = await decisionBehind(gateway, response)
    expect(decision).toMatchObject({ asked_model: model, strategy: 'none', outcome: 'refused', chosen: null })
  })
})

describe('what has no decision', () => {
  it.each([
    ['a request that is no call of a model', '/v1/models', undefined],
    ['a call that is not understood', '/v1/chat/completions', { model: 'gpt-4o' }],
    ['counting tokens', '/v1/messages/count_tokens', chat],
  ])('is %s', async (_name, path, body) => {
    const gateway = await start()
    const response = await gateway.call(path, body)
    await response.text()
    expect(response.headers.get('x-helix-decision-id')).toBeNull()
    expect(await decisionsOf(gateway)).toEqual([])
  })
})

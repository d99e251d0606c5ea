import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { errorIn } from '../../support/client-error.ts'
import { type Sent, startGateway, type TestGatewayOptions } from '../../support/gateway.ts'

const List = z.strictObject({
  object: z.literal('list'),
  model: z.string(),
  data: z.array(
    z.strictObject({
      object: z.literal('embedding'),
      index: z.int(),
      embedding: z.union([z.array(z.number()), z.string()]),
    }),
  ),
  usage: z.strictObject({ prompt_tokens: z.int(), total_tokens: z.int() }),
})

const model = 'text-embedding-3-small'
/** A list of numbers is one input, given as its tokens. */
const inputsOf = ({ body: { input } }: Sent): unknown[] =>
  Array.isArray(input) && typeof input[0] !== 'number' ? input : [input]

/** A vendor whose vectors say which input they are of. */
const vectors = (sent: Sent) =>
  Response.json({
    object: 'list',
    data: inputsOf(sent).map((_, index) => ({ object: 'embedding', index, embedding: [index, 0.5] })),
    model,
    usage: { prompt_tokens: 7, total_tokens: 7 },
  })

const start = (options: TestGatewayOptions = {}) => startGateway({ upstream: vectors, ...options })

describe('POST /v1/embeddings', () => {
  it('answers in the order of the inputs and books what the vendor counted', async () => {
    const { call, rows, sent } = await start()
    const response = await call('/v1/embeddings', { model, input: ['a', 'b', 'c'], user: null })
    expect(List.parse(await response.json())).toMatchObject({
      model,
      data: [{ embedding: [0, 0.5] }, { embedding: [1, 0.5] }, { embedding: [2, 0.5] }],
      usage: { prompt_tokens: 7 },
    })
    expect(response.headers.get('x-helix-attempts')).toBe('1')
    expect(response.headers.get('x-helix-cost-usd')).toBe('0.00000014')
    expect(sent[0]?.body).not.toHaveProperty('user')
    expect(await rows()).toMatchObject([
      { operation: 'embedding', status: 'ok', prompt_tokens: 7, cost_nanos: 140, estimated: false, provider: 'openai' },
    ])
  })

  it('gives base64 as little-endian floats', async () => {
    const { call } = await start()
    const response = await call('/v1/embeddings', { model, input: ['a', 'b'], encoding_format: 'base64' })
    const [, second] = List.parse(await response.json()).data
    const bytes = Buffer.from(String(second?.embedding), 'base64')
    expect([bytes.readFloatLE(0), bytes.readFloatLE(4), bytes.length]).toEqual([1, 0.5, 8])
  })

  it('takes text, texts, token ids and lists of them', async () => {
    const { call } = await start()
    const lengthOf = async (input: unknown) =>
      List.parse(await (await call('/v1/embeddings', { model, input })).json()).data.length
    expect(await lengthOf('a')).toBe(1)
    expect(await lengthOf(['a', 'b'])).toBe(2)
    expect(await lengthOf([1, 2, 3])).toBe(1)
    expect(await lengthOf([[1, 2], [3]])).toBe(2)
  })

  it('keeps its own options from the vendor', async () => {
    const { call, sent } = await start()
    const helix = { timeout_ms: 5000, provider: 'openai' }
    expect((await call('/v1/embeddings', { model, input: 'a', helix, force_provider: 'openai' })).status).toBe(200)
    expect(Object.keys(sent[0]?.body ?? {}).sort()).toEqual(['input', 'model'])
  })

  it('takes null for absent', async () => {
    const { call } = await start()
    const nulls = { provider: null, force_provider: null, helix: null, dimensions: null }
    expect((await call('/v1/embeddings', { model, input: 'a', ...nulls })).status).toBe(200)
  })

  it.each([['openai/text-embedding-3-small', 200, 1] as const, ['mistral/mistral-embed', 400, 0] as const])(
    'serves a strict caller in full or not at all (%s: %d)',
    async (name, status, asked) => {
      const { call, sent } = await start({ vendors: ['openai', 'mistral'] })
      const body = { model: name, input: 'a', user: 'someone', helix: { strict: true } }
      const response = await call('/v1/embeddings', body)
      expect([response.status, sent.length]).toEqual([status, asked])
      if (status === 400)
        expect(await errorIn(response)).toMatchObject({ param: 'user', code: 'unsupported_parameter' })
    },
  )

  it.each([
    ['more tokens in an input than a model reads', Array.from({ length: 8193 }, () => 1)],
    ['more in one of several', [[1], Array.from({ length: 8193 }, () => 1)]],
    ['more in all', Array.from({ length: 38 }, () => Array.from({ length: 8000 }, () => 1))],
  ])('refuses %s', async (_name, input) => {
    const { call, sent } = await start()
    const response = await call('/v1/embeddings', { model, input })
    const error = await errorIn(response)
    expect(error).toMatchObject({ status: 400, code: 'invalid_request' })
    expect(error.param).toMatch(/^input/)
    expect(sent).toEqual([])
  })

  it('takes as many tokens as OpenAI does', async () => {
    const { call } = await start()
    const input = Array.from({ length: 36 }, () => Array.from({ length: 8192 }, () => 1))
    expect((await call('/v1/embeddings', { model, input })).status).toBe(200)
  })

  it('asks again after a failure, and then the fallback', async () => {
    const { call, sent, rows } = await start({
      vendors: ['openai', 'mistral'],
      upstream: (one) => (one.to === 'openai' ? new Response('busy', { status: 503 }) : vectors(one)),
    })
    const helix = { fallback_models: ['mistral/mistral-embed'] }
    const response = await call('/v1/embeddings', { model, input: 'a', helix })
    expect([response.status, response.headers.get('x-helix-provider')]).toEqual([200, 'mistral'])
    expect(sent.map(({ to }) => to)).toEqual(['openai', 'mistral'])
    expect(await rows()).toMatchObject([{ provider: 'mistral', attempts: 2 }])
  })

  it("that times out is asked again within the caller's time, then is 504", async () => {
    const { call, sent, rows, ledger } = await start({
      upstream: () => new Promise<Response>(() => {}),
      policy: { budgets: [{ id: 'bud_1', window: 'total', limitNanoUsd: 1_000_000_000 }] },
    })
    const response = await call('/v1/embeddings', { model, input: 'a', helix: { timeout_ms: 1000 } })
    expect(await errorIn(response)).toMatchObject({ status: 504, code: 'upstream_timeout' })
    expect(sent).toHaveLength(1)
    const [row] = await rows()
    expect(row).toMatchObject({ status: 'error', error_code: 'upstream_timeout', estimated: true })
    // The vendor has the text, and bills it.
    expect(row?.cost_nanos).toBeGreaterThan(0)
    expect(ledger.heldNanoUsd()).toBe(0)
  })

  it('that its caller leaves is booked as read, and as no error', async () => {
    const { call, sent, rows } = await start({ upstream: () => new Promise<Response>(() => {}) })
    const caller = new AbortController()
    const answering = call('/v1/embeddings', { model, input: 'a few words' }, { signal: caller.signal })
    await expect.poll(() => sent.length).toBe(1)
    caller.abort()
    await answering
    const [row] = await rows()
    expect(row).toMatchObject({ status: 'aborted', error_code: null, estimated: true })
    expect(row?.prompt_tokens).toBeGreaterThan(0)
  })

  it('of a model that chats is 400, before anything is sent or held', async () => {
    const { call, sent, ledger } = await start()
    const response = await call('/v1/embeddings', { model: 'gpt-4o', input: 'a' })
    expect(await errorIn(response)).toMatchObject({ status: 400, code: 'wrong_capability', param: 'model' })
    expect([sent.length, ledger.openHolds()]).toEqual([0, 0])
  })

  it('with too few vectors in the answer is 502', async () => {
    const { call } = await start({ upstream: () => Response.json({ data: [], usage: { prompt_tokens: 1 } }) })
    const response = await call('/v1/embeddings', { model, input: ['a', 'b'] })
    expect(await errorIn(response)).toMatchObject({ status: 502, code: 'provider_error' })
  })

  it('counts itself when the vendor does not, and says so in the books', async () => {
    const silent = (sent: Sent) =>
      Response.json({ data: inputsOf(sent).map((_, index) => ({ index, embedding: [1] })), model })
    const { call, rows } = await start({ upstream: silent })
    await call('/v1/embeddings', { model, input: 'a few words to count' })
    const [row] = await rows()
    expect(row).toMatchObject({ estimated: true, status: 'ok' })
    expect(row?.prompt_tokens).toBeGreaterThan(0)
  })
})

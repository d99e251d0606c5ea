import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import * as z from 'zod'
import { type DemoNode, startDemoNode } from '../../scripts/local/demo-node/server.ts'
import type { Seeded } from '../../scripts/seed.ts'
import { redisKeys } from '../../src/features/admission/keys.ts'
import { errorIn } from '../support/client-error.ts'
import { type ClientStream, readClient } from '../support/client-events.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { type Stack, startStack } from '../support/stack.ts'

let stack: Stack
let openai: FakeVendor
let deepseek: FakeVendor
let node: DemoNode
let key: Seeded

beforeAll(async () => {
  openai = await startFakeVendor()
  deepseek = await startFakeVendor()
  node = await startDemoNode({
    chunkDelayMs: 0,
    script: {
      'page:1b': { html: '<html>Just a moment</html>' },
      'fails:1b': { failAfter: { pieces: 2, message: 'the runner has died' } },
      'cuts:1b': { cutAfter: { pieces: 2 } },
      'refuses:1b': { refuse: { status: 400, message: 'this model does not support tools' } },
    },
  })
  stack = await startStack({
    vars: {
      OPENAI_API_KEY: 'sk-fake-openai',
      OPENAI_BASE_URL: openai.url,
      DEEPSEEK_API_KEY: 'sk-fake-deepseek',
      DEEPSEEK_BASE_URL: deepseek.url,
      OLLAMA_BASE_URL: node.url,
    },
  })
  key = await stack.org()
})

afterAll(async () => {
  await stack?.close()
  await Promise.all([openai?.close(), deepseek?.close(), node?.close()])
})

type Fields = Record<string, unknown>
let models = 0
/** A model of its own for each case: failures in a row are counted by model. */
const freshModel = (vendor = 'openai') => `${vendor}/model-${++models}`

const ask = (model: string, words: string, fields: Fields = {}) =>
  stack.call(key.apiKey, '/v1/chat/completions', {
    model,
    messages: [{ role: 'user', content: `Tell me something. ${words}` }],
    user: `${model} ${words}`,
    ...fields,
  })

const requestIdOf = (response: Response) => response.headers.get('x-request-id') ?? ''
/** The one row of a call, once the ledger has written it. */
const rowOf = (requestId: string) =>
  vi.waitFor(
    async () => {
      const rows = await stack.query('select * from usage_ledger where request_id = $1', [requestId])
      expect(rows).toHaveLength(1)
      return rows[0]
    },
    { timeout: 10_000, interval: 100 },
  )
async function redis(...command: string[]): Promise<unknown> {
  const { redisUrl, redisToken } = inject('stores')
  const headers = { authorization: `Bearer ${redisToken}` }
  const response = await fetch(redisUrl, { method: 'POST', headers, body: JSON.stringify(command) })
  return z.object({ result: z.unknown() }).parse(await response.json()).result
}

/** How often a model was asked of a vendor. */
const asksOf = (vendor: FakeVendor, model: string) =>
  vendor.truth().filter((row) => row.model === model.slice(model.indexOf('/') + 1)).length

type Outcome = { status: number; code: string | null; asked: number; retryAfter?: string; reasons?: string[] }
const thrice = (reason: string) => [reason, reason, reason]
const failed = (asked: number, code: string, reasons: string[], status = 502): Outcome => ({
  status,
  code,
  asked,
  reasons,
})

/** What a caller sees whose one target fails before any content, however the answer was to come. */
const beforeContent: [fault: string, outcome: Outcome, fields?: Fields][] = [
  ['html200', failed(1, 'provider_error', ['garbage'])],
  ['empty200', failed(1, 'provider_error', ['garbage'])],
  ['status=400', { status: 400, code: null, asked: 1 }],
  ['status=404', { status: 404, code: 'model_not_found', asked: 1 }],
  ['status=413', { status: 413, code: 'request_too_large', asked: 1 }],
  ['status=422', { status: 422, code: null, asked: 1 }],
  ['status=401', failed(1, 'provider_error', ['status_401'])],
  ['status=402', failed(1, 'provider_error', ['status_402'])],
  ['status=403', failed(1, 'provider_error', ['status_403'])],
  ['status=302', failed(1, 'provider_error', ['status_302'])],
  ['status=429,retry-after=30', { status: 429, code: 'rate_limit_exceeded', asked: 1, retryAfter: '30' }],
  ['status=500', failed(3, 'provider_error', thrice('status_500'))],
  ['status=502', failed(3, 'provider_error', thrice('status_502'))],
  ['status=529', failed(3, 'provider_error', thrice('status_529'))],
  ['reset', failed(3, 'network_error', thrice('connect'))],
  ['hang', failed(1, 'upstream_timeout', ['timeout'], 504), { helix: { timeout_ms: 1000 } }],
]

/** Both forms of an answer side by side: waiting for the books takes a second each time. */
const inBothForms = async (check: (stream: boolean) => Promise<void>): Promise<void> => {
  await Promise.all([check(false), check(true)])
}

describe.concurrent('before any content', () => {
  it.each(beforeContent)('a vendor fails with %s', (fault, expected, fields = {}) =>
    inBothForms(async (stream) => {
      const model = freshModel()
      const response = await ask(model, `fault:${fault}`, { ...fields, stream })
      const error = await errorIn(response)
      expect({ status: response.status, code: error.code }).toEqual({ status: expected.status, code: expected.code })
      expect(asksOf(openai, model)).toBe(expected.asked)
      expect(response.headers.get('retry-after')).toBe(expected.retryAfter ?? null)
      if (expected.reasons) expect(error.attempted?.map(({ reason }) => reason)).toEqual(expected.reasons)
      // Nothing of the vendor's own head, and nothing of our key with it.
      expect(response.headers.get('openai-version')).toBeNull()
      expect(requestIdOf(response)).toMatch(/^req_[0-9a-z]{26}$/)
      expect(JSON.stringify(error)).not.toContain('sk-fake')
      const row = await rowOf(requestIdOf(response))
      expect(row).toMatchObject({ status: 'error', cost_nanos: '0', attempts: expected.asked, stream })
      expect([row?.prompt_tokens, row?.completion_tokens].map(Number)).toEqual([0, 0])
    }),
  )

  it('a connection that breaks after the head is the end of it', () =>
    inBothForms(async (stream) => {
      const model = freshModel()
      const response = await ask(model, stream ? 'fault:cut=0' : 'fault:cut=1', { stream })
      const error = await errorIn(response)
      expect([response.status, error.code, error.attempted]).toEqual([
        502,
        'provider_error',
        [{ target: model, reason: 'cut' }],
      ])
      expect(asksOf(openai, model)).toBe(1)
    }))

  it.each([
    ['status=503,times=1', 2],
    ['status=500,times=2', 3],
    ['reset,times=1', 2],
    ['status=429,retry-after=1,times=1', 2],
  ])('a vendor that fails with %s is asked again', (fault, attempts) =>
    inBothForms(async (stream) => {
      const response = await ask(freshModel(), `fault:${fault}`, { stream })
      expect(response.status).toBe(200)
      expect(response.headers.get('x-helix-attempts')).toBe(String(attempts))
      await response.text()
      expect(await rowOf(requestIdOf(response))).toMatchObject({ status: 'ok', attempts })
    }),
  )

  it('a refusal is passed on in the words of the vendor', () =>
    inBothForms(async (stream) => {
      const response = await ask(freshModel(), 'fault:status=413', { stream })
      expect(await response.json()).toEqual({
        error: {
          message: 'Request body is too large.',
          type: 'invalid_request_error',
          param: null,
          code: 'request_too_large',
        },
      })
    }))
})

describe.concurrent('in the middle of a stream', () => {
  const readFault = async (
    fault: string,
    fields: Fields = {},
  ): Promise<[ClientStream, Record<string, unknown> | undefined]> => {
    const response = await ask(freshModel(), `fault:${fault}`, { stream: true, ...fields })
    return [await readClient(response), await rowOf(requestIdOf(response))]
  }

  it.each([
    ['cut=3', 'provider_error', {}],
    ['eof=3', 'provider_error', {}],
    ['malformed=3', 'provider_error', {}],
    ['errorevent=3', 'provider_error', {}],
    ['hang-after=3', 'upstream_timeout', { helix: { timeout_ms: 1000 } }],
  ])('%s is an error event after what was said, never a silent end', async (fault, code, fields) => {
    const [seen, row] = await readFault(fault, fields)
    expect(seen.errors).toMatchObject([{ code, type: 'upstream_error' }])
    expect(seen.finish).toEqual({ 0: ['error'] })
    expect(seen.done).toBe(false)
    const truth = openai.truth().find((written) => seen.chunks[0]?.model === written.model)
    expect(seen.text).toBe(truth?.text)
    expect(seen.text).not.toBe('')
    expect(row).toMatchObject({ status: 'error', error_code: code, estimated: true, stream: true })
    expect(Number(row?.completion_tokens)).toBeGreaterThan(0)
  })

  it('no other target takes over once something was said', async () => {
    const other = freshModel('deepseek')
    const [seen] = await readFault('cut=3', { helix: { fallback_models: [other] } })
    expect(seen.errors).toHaveLength(1)
    expect(asksOf(deepseek, other)).toBe(0)
  })
})

describe.concurrent('with a second provider', () => {
  /** The directives are in the name, so that the second model knows nothing of them. */
  const failing = (fault: string) => `openai/model-${++models}-fault:${fault}`

  it.each(['status=500', 'status=429,retry-after=60', 'status=401', 'html200', 'empty200', 'reset', 'eof=0'])(
    'a target that fails with %s gives way at once',
    (fault) =>
      inBothForms(async (stream) => {
        const [first, second] = [failing(fault), freshModel('deepseek')]
        const response = await ask(first, 'Please.', { helix: { fallback_models: [second] }, stream })
        expect(response.status).toBe(200)
        expect(response.headers.get('x-helix-provider')).toBe('deepseek')
        expect(response.headers.get('x-helix-attempts')).toBe('2')
        expect(response.headers.get('openai-version')).toBeNull()
        expect(await response.text()).toContain(second.replace('deepseek/', ''))
        expect([asksOf(openai, first), asksOf(deepseek, second)]).toEqual([1, 1])
        expect(deepseek.lastHeaders().authorization).toBe('Bearer sk-fake-deepseek')
        expect(JSON.stringify(deepseek.lastBody())).not.toContain('helix')
        expect(await rowOf(requestIdOf(response))).toMatchObject({ provider: 'deepseek', status: 'ok', attempts: 2 })
      }),
  )

  it.each(['status=400', 'status=404', 'status=422'])('%s is not tried elsewhere', async (fault) => {
    const other = freshModel('deepseek')
    const response = await ask(failing(fault), 'Please.', { helix: { fallback_models: [other] } })
    expect(response.status).toBe(Number(fault.split('=')[1]))
    expect(asksOf(deepseek, other)).toBe(0)
  })

  it('a generation that timed out is not paid for twice', async () => {
    const other = freshModel('deepseek')
    const fields = { helix: { fallback_models: [other], timeout_ms: 1000 } }
    expect((await ask(failing('hang'), 'Please.', fields)).status).toBe(504)
    expect(asksOf(deepseek, other)).toBe(0)
  })

  it('all of them failing is all_providers_failed, with what was tried', async () => {
    const [first, second] = [failing('status=500'), `deepseek/model-${++models}-fault:html200`]
    const response = await ask(first, 'Please.', { helix: { fallback_models: [second] } })
    expect(response.status).toBe(502)
    expect(await errorIn(response)).toMatchObject({
      type: 'upstream_error',
      code: 'all_providers_failed',
      retryable: true,
      attempted: [
        { target: first, reason: 'status_500' },
        { target: second, reason: 'garbage' },
      ],
    })
  })

  it('all of them being full is 429 with the shortest wait', async () => {
    const [first, second] = [failing('status=429,retry-after=40'), 'deepseek/full-fault:status=429,retry-after=20']
    const response = await ask(first, 'Please.', { helix: { fallback_models: [second] } })
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '20'])
  })
})

describe('the breaker', () => {
  it('opens after five failures in a row, refuses without asking, and closes with its key', async () => {
    const model = `openai/model-${++models}-fault:status=500`
    const before = openai.requests()
    for (let call = 0; call < 2; call++) expect((await ask(model, 'Please.')).status).toBe(502)
    expect(openai.requests() - before).toBe(6)
    await expect.poll(() => redis('GET', redisKeys.breaker(model)), { interval: 20 }).not.toBeNull()
    const refused = await ask(model, 'Please.', { stream: true })
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({ error: { code: 'model_overloaded', param: 'model' } })
    const wait = Number(refused.headers.get('retry-after'))
    expect(wait).toBeGreaterThanOrEqual(1)
    expect(wait).toBeLessThanOrEqual(10)
    expect(openai.requests() - before).toBe(6)
    const elsewhere = await ask(model, 'Please.', { helix: { fallback_models: ['deepseek/deepseek-chat'] } })
    expect([elsewhere.headers.get('x-helix-provider'), elsewhere.headers.get('x-helix-attempts')]).toEqual([
      'deepseek',
      '1',
    ])
    expect(Number(await redis('PTTL', redisKeys.breaker(model)))).toBeLessThanOrEqual(10_000)
    await redis('DEL', redisKeys.breaker(model))
    expect((await ask(model, 'Please.')).status).toBe(502)
    expect(openai.requests() - before).toBe(9)
  })

  it('sends auto to the next target, and lets it come back', async () => {
    const auto = async () => {
      const response = await ask('auto', 'Please.')
      await response.text()
      return [response.status, response.headers.get('x-helix-provider'), response.headers.get('x-helix-attempts')]
    }
    expect(await auto()).toEqual([200, 'openai', '1'])
    openai.always('status=500')
    for (let call = 0; call < 5; call++) expect(await auto()).toEqual([200, 'deepseek', '2'])
    await expect.poll(() => redis('GET', redisKeys.breaker('openai/gpt-4o')), { interval: 20 }).not.toBeNull()
    expect(await auto()).toEqual([200, 'deepseek', '1'])
    expect((await ask('gpt-4o', 'Please.')).status).toBe(503)
    openai.always(undefined)
    await redis('DEL', redisKeys.breaker('openai/gpt-4o'))
    expect(await auto()).toEqual([200, 'openai', '1'])
  })

  it('is not opened by callers who wait too short', async () => {
    const model = freshModel()
    const hurried = { helix: { timeout_ms: 1000 } }
    const calls = await Promise.all(Array.from({ length: 6 }, () => ask(model, 'fault:hang', hurried)))
    expect(calls.map(({ status }) => status)).toEqual(Array(6).fill(504))
    expect(await redis('GET', redisKeys.breaker(model))).toBeNull()
    expect((await ask(model, 'Please.')).status).toBe(200)
  })
})

describe('a node', () => {
  it.each([
    ['page:1b', 502, 'provider_error'],
    ['refuses:1b', 400, null],
    ['unlisted:1b', 404, 'model_not_found'],
  ])('that answers %s with nonsense or a refusal: %s', async (model, status, code) => {
    for (const stream of [false, true]) {
      const response = await ask(model, 'Please.', { stream })
      expect(response.status).toBe(status)
      expect(await response.json()).toMatchObject({ error: { code } })
    }
  })

  it.each([
    ['fails:1b', 'the runner has died'],
    ['cuts:1b', 'The provider broke off before its answer was complete.'],
  ])('that breaks down in the middle (%s) ends in an error event', async (model, message) => {
    const response = await ask(model, 'Please.', { stream: true })
    const seen = await readClient(response)
    expect(seen.errors).toMatchObject([{ code: 'provider_error', message }])
    expect(seen.text).not.toBe('')
    expect(seen.done).toBe(false)
    expect(await rowOf(requestIdOf(response))).toMatchObject({ provider: 'ollama', status: 'error', estimated: true })
  })

  it('that is gone takes its models with it, and nothing else', async () => {
    expect((await ask('llama3.2:3b', 'Please.')).status).toBe(200)
    await node.close()
    for (const stream of [false, true, false]) {
      const response = await ask('llama3.2:3b', 'Please.', { stream })
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
      expect(await response.json()).toMatchObject({ error: { code: 'no_capable_model', retryable: true } })
    }
    expect((await ask('gpt-4o', 'Please.')).status).toBe(200)
    expect((await ask('auto', 'Please.')).status).toBe(200)
    expect((await ask('no-such-model', 'Please.')).status).toBe(404)
    expect((await stack.call(key.apiKey, '/v1/models')).status).toBe(200)
  })
})

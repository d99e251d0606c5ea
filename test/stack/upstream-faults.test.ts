import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { errorIn } from '../support/client-error.ts'
import { type ClientStream, readClient } from '../support/client-events.ts'
import { asksOf, inBothForms, requestIdOf, startUpstreams, type Upstreams } from '../support/upstreams.ts'

let up: Upstreams

beforeAll(async () => {
  up = await startUpstreams({
    'page:1b': { html: '<html>Just a moment</html>' },
    'fails:1b': { failAfter: { pieces: 2, message: 'the runner has died' } },
    'cuts:1b': { cutAfter: { pieces: 2 } },
    'refuses:1b': { refuse: { status: 400, message: 'this model does not support tools' } },
  })
})
afterAll(() => up?.close())

type Fields = Record<string, unknown>
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

describe.concurrent('before any content', () => {
  it.each(beforeContent)('a vendor fails with %s', (fault, expected, fields = {}) =>
    inBothForms(async (stream) => {
      const model = up.freshModel()
      const response = await up.ask(model, `fault:${fault}`, { ...fields, stream })
      const error = await errorIn(response)
      expect({ status: response.status, code: error.code }).toEqual({ status: expected.status, code: expected.code })
      expect(asksOf(up.openai, model)).toBe(expected.asked)
      expect(response.headers.get('retry-after')).toBe(expected.retryAfter ?? null)
      if (expected.reasons) expect(error.attempted?.map(({ reason }) => reason)).toEqual(expected.reasons)
      // Nothing of the vendor's own head, and nothing of our key with it.
      expect(response.headers.get('openai-version')).toBeNull()
      expect(requestIdOf(response)).toMatch(/^req_[0-9a-z]{26}$/)
      expect(JSON.stringify(error)).not.toContain('sk-fake')
      const row = await up.rowOf(response)
      // A vendor that falls silent has read the prompt, and bills it.
      const isRead = expected.code === 'upstream_timeout'
      expect(row).toMatchObject({ status: 'error', attempts: expected.asked, stream, estimated: isRead })
      expect([Number(row?.prompt_tokens) > 0, Number(row?.completion_tokens)]).toEqual([isRead, 0])
      if (!isRead) expect(row?.cost_nanos).toBe('0')
    }),
  )

  it('a connection that breaks after the head is the end of it', () =>
    inBothForms(async (stream) => {
      const model = up.freshModel()
      const response = await up.ask(model, stream ? 'fault:cut=0' : 'fault:cut=1', { stream })
      const error = await errorIn(response)
      expect([response.status, error.code, error.attempted]).toEqual([
        502,
        'provider_error',
        [{ target: model, reason: 'cut' }],
      ])
      expect(asksOf(up.openai, model)).toBe(1)
    }))

  it.each([
    ['status=503,times=1', 2],
    ['status=500,times=2', 3],
    ['reset,times=1', 2],
    ['status=429,retry-after=1,times=1', 2],
  ])('a vendor that fails with %s is asked again', (fault, attempts) =>
    inBothForms(async (stream) => {
      const response = await up.ask(up.freshModel(), `fault:${fault}`, { stream })
      expect(response.status).toBe(200)
      expect(response.headers.get('x-helix-attempts')).toBe(String(attempts))
      await response.text()
      expect(await up.rowOf(response)).toMatchObject({ status: 'ok', attempts })
    }),
  )

  it('a refusal is passed on in the words of the vendor', () =>
    inBothForms(async (stream) => {
      const response = await up.ask(up.freshModel(), 'fault:status=413', { stream })
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
    const response = await up.ask(up.freshModel(), `fault:${fault}`, { stream: true, ...fields })
    return [await readClient(response), await up.rowOf(response)]
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
    const truth = up.openai.truth().find((written) => seen.chunks[0]?.model === written.model)
    expect(seen.text).toBe(truth?.text)
    expect(seen.text).not.toBe('')
    expect(row).toMatchObject({ status: 'error', error_code: code, estimated: true, stream: true })
    expect(Number(row?.completion_tokens)).toBeGreaterThan(0)
  })

  it('no other target takes over once something was said', async () => {
    const other = up.freshModel('deepseek')
    const [seen] = await readFault('cut=3', { helix: { fallback_models: [other] } })
    expect(seen.errors).toHaveLength(1)
    expect(asksOf(up.deepseek, other)).toBe(0)
  })
})

describe('a node', () => {
  it.each([
    ['page:1b', 502, 'provider_error'],
    ['refuses:1b', 400, null],
    ['unlisted:1b', 404, 'model_not_found'],
  ])('that answers %s with nonsense or a refusal: %s', async (model, status, code) => {
    for (const stream of [false, true]) {
      const response = await up.ask(model, 'Please.', { stream })
      expect(response.status).toBe(status)
      expect(await response.json()).toMatchObject({ error: { code } })
    }
  })

  it.each([
    ['fails:1b', 'the runner has died'],
    ['cuts:1b', 'The provider broke off before its answer was complete.'],
  ])('that breaks down in the middle (%s) ends in an error event', async (model, message) => {
    const response = await up.ask(model, 'Please.', { stream: true })
    const seen = await readClient(response)
    expect(seen.errors).toMatchObject([{ code: 'provider_error', message }])
    expect(seen.text).not.toBe('')
    expect(seen.done).toBe(false)
    expect(await up.rowOf(response)).toMatchObject({ provider: 'ollama', status: 'error', estimated: true })
  })

  it('that is gone takes its models with it, and nothing else', async () => {
    expect((await up.ask('llama3.2:3b', 'Please.')).status).toBe(200)
    await up.node.close()
    for (const stream of [false, true, false]) {
      const response = await up.ask('llama3.2:3b', 'Please.', { stream })
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
      expect(await response.json()).toMatchObject({ error: { code: 'no_capable_model', retryable: true } })
    }
    expect((await up.ask('gpt-4o', 'Please.')).status).toBe(200)
    expect((await up.ask('auto', 'Please.')).status).toBe(200)
    expect((await up.ask('no-such-model', 'Please.')).status).toBe(404)
    expect((await up.stack.call(up.apiKey, '/v1/models')).status).toBe(200)
  })
})

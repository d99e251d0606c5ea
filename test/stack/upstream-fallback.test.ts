import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisKeys } from '../../src/features/admission/keys.ts'
import { errorIn } from '../support/client-error.ts'
import { redisCommand } from '../support/stores.ts'
import { asksOf, inBothForms, startUpstreams, type Upstreams } from '../support/upstreams.ts'

let up: Upstreams

beforeAll(async () => {
  up = await startUpstreams()
})
afterAll(() => up?.close())

/** The directives are in the name, so that the second model knows nothing of them. */
const failing = (fault: string) => up.freshModel('openai', fault)

describe.concurrent('with a second provider', () => {
  it.each(['status=500', 'status=429,retry-after=60', 'status=401', 'html200', 'empty200', 'reset', 'eof=0'])(
    'a target that fails with %s gives way at once',
    (fault) =>
      inBothForms(async (stream) => {
        const [first, second] = [failing(fault), up.freshModel('deepseek')]
        const response = await up.ask(first, 'Please.', { helix: { fallback_models: [second] }, stream })
        expect(response.status).toBe(200)
        expect(response.headers.get('x-helix-provider')).toBe('deepseek')
        expect(response.headers.get('x-helix-attempts')).toBe('2')
        expect(response.headers.get('openai-version')).toBeNull()
        expect(await response.text()).toContain(second.replace('deepseek/', ''))
        expect([asksOf(up.openai, first), asksOf(up.deepseek, second)]).toEqual([1, 1])
        expect(up.deepseek.lastHeaders().authorization).toBe('Bearer sk-fake-deepseek')
        expect(JSON.stringify(up.deepseek.lastBody())).not.toContain('helix')
        expect(await up.rowOf(response)).toMatchObject({ provider: 'deepseek', status: 'ok', attempts: 2 })
      }),
  )

  it.each(['status=400', 'status=404', 'status=422'])('%s is not tried elsewhere', async (fault) => {
    const other = up.freshModel('deepseek')
    const response = await up.ask(failing(fault), 'Please.', { helix: { fallback_models: [other] } })
    expect(response.status).toBe(Number(fault.split('=')[1]))
    expect(asksOf(up.deepseek, other)).toBe(0)
  })

  it('a generation that timed out is not paid for twice', async () => {
    const other = up.freshModel('deepseek')
    const fields = { helix: { fallback_models: [other], timeout_ms: 1000 } }
    expect((await up.ask(failing('hang'), 'Please.', fields)).status).toBe(504)
    expect(asksOf(up.deepseek, other)).toBe(0)
  })

  it('all of them failing is all_providers_failed, with what was tried', async () => {
    const [first, second] = [failing('status=500'), up.freshModel('deepseek', 'html200')]
    const response = await up.ask(first, 'Please.', { helix: { fallback_models: [second] } })
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
    const response = await up.ask(first, 'Please.', { helix: { fallback_models: [second] } })
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '20'])
  })
})

describe('the breaker', () => {
  it('opens after five failures in a row, refuses without asking, and closes with its key', async () => {
    const model = failing('status=500')
    const before = up.openai.requests()
    // Each of them is asked three times and counts once; the last is not asked again, for by then it is open.
    for (let call = 0; call < 5; call++) expect((await up.ask(model, 'Please.')).status).toBe(502)
    expect(up.openai.requests() - before).toBe(13)
    await expect.poll(() => redisCommand('HGET', redisKeys.target(model), 'u'), { interval: 20 }).not.toBeNull()
    const refused = await up.ask(model, 'Please.', { stream: true })
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({ error: { code: 'model_overloaded', param: 'model' } })
    const wait = Number(refused.headers.get('retry-after'))
    expect(wait).toBeGreaterThanOrEqual(1)
    expect(wait).toBeLessThanOrEqual(10)
    expect(up.openai.requests() - before).toBe(13)
    const elsewhere = await up.ask(model, 'Please.', { helix: { fallback_models: ['deepseek/deepseek-chat'] } })
    expect([elsewhere.headers.get('x-helix-provider'), elsewhere.headers.get('x-helix-attempts')]).toEqual([
      'deepseek',
      '1',
    ])
    await redisCommand('DEL', redisKeys.target(model))
    expect((await up.ask(model, 'Please.')).status).toBe(502)
    expect(up.openai.requests() - before).toBe(16)
  })

  it('sends auto to the next target, and lets it come back', async () => {
    const auto = async () => {
      const response = await up.ask('auto', 'Please.')
      await response.text()
      return [response.status, response.headers.get('x-helix-provider'), response.headers.get('x-helix-attempts')]
    }
    expect(await auto()).toEqual([200, 'openai', '1'])
    up.openai.always('status=500')
    for (let call = 0; call < 5; call++) expect(await auto()).toEqual([200, 'deepseek', '2'])
    await expect
      .poll(() => redisCommand('HGET', redisKeys.target('openai/gpt-4o'), 'u'), { interval: 20 })
      .not.toBeNull()
    expect(await auto()).toEqual([200, 'deepseek', '1'])
    expect((await up.ask('gpt-4o', 'Please.')).status).toBe(503)
    up.openai.always(undefined)
    await redisCommand('DEL', redisKeys.target('openai/gpt-4o'))
    expect(await auto()).toEqual([200, 'openai', '1'])
  })

  it('is not opened by callers who wait too short', async () => {
    const model = up.freshModel()
    const hurried = { helix: { timeout_ms: 1000 } }
    const calls = await Promise.all(Array.from({ length: 6 }, () => up.ask(model, 'fault:hang', hurried)))
    expect(calls.map(({ status }) => status)).toEqual(Array(6).fill(504))
    expect(await redisCommand('EXISTS', redisKeys.target(model))).toBe(0)
    expect((await up.ask(model, 'Please.')).status).toBe(200)
  })
})

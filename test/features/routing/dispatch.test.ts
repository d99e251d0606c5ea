import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import { createMemory } from '../../../src/core/memory.ts'
import { type Provider, UpstreamError } from '../../../src/core/models.ts'
import type { RedisCommand } from '../../../src/core/redis.ts'
import { noteFailure } from '../../../src/features/routing/breaker.ts'
import { type DispatchCall, dispatch } from '../../../src/features/routing/dispatch.ts'
import { type FailedAttempt, failureOf } from '../../../src/features/routing/service.ts'
import { fakeAdmission, fakeDeps, keptLog } from '../../support/fake-deps.ts'
import { node, provider, target } from './world.ts'

const status = (code: number, retryAfterMs?: number) =>
  new UpstreamError('status', 'failed', { status: code, retryAfterMs })
const fault = (name: 'connect' | 'timeout' | 'garbage' | 'cut') => new UpstreamError(name, 'failed')

/** Runs a call over targets whose attempts fail as scripted, then succeed; nothing waits for longer than a moment. */
function start(given: { stepMs?: number; signal?: AbortSignal } = {}) {
  const [memory, kept] = [createMemory(), keptLog()]
  const commands: RedisCommand[] = []
  const deferred: Promise<unknown>[] = []
  let nowMs = 1000
  const world = {
    ...fakeDeps(),
    admission: fakeAdmission(),
    memory,
    log: kept.log,
    now: () => {
      nowMs += given.stepMs ?? 0
      return nowMs
    },
    random: () => 0.01,
    redis: {
      run: async () => undefined,
      pipeline: async (sent: readonly RedisCommand[]) => {
        commands.push(...sent)
        return []
      },
    },
    defer: (work: Promise<unknown>) => void deferred.push(work),
    signal: given.signal ?? new AbortController().signal,
    requestId: 'req_1',
    startedMs: 1000,
  }
  const run = async (
    ids: readonly (string | [string, Provider])[],
    failures: readonly unknown[],
    call: Partial<DispatchCall<string>> = {},
  ) => {
    const script = [...failures]
    const asked: string[] = []
    const targets = ids.map((one) => ({
      target: typeof one === 'string' ? target(one) : target(...one),
      reason: 'test',
    }))
    const outcome = await dispatch<string>(
      world,
      { strategy: 'explicit', targets, excluded: [] },
      {
        repeatable: false,
        attempt: async ({ id }) => {
          asked.push(id)
          const failure = script.shift()
          if (failure !== undefined) throw failure
          return `answer of ${id}`
        },
        ...call,
      },
    )
    return { asked, outcome }
  }
  return { run, memory, commands, log: kept.lines }
}

describe('dispatch', () => {
  it('asks one target three times at most', async () => {
    const { asked, outcome } = await start().run(['a/m'], [status(500), status(502), status(503), status(504)])
    expect(asked).toEqual(['a/m', 'a/m', 'a/m'])
    expect(outcome).toMatchObject({ ok: false, failures: [{}, {}, {}] })
  })

  it('asks the next target at once, and only the last one again', async () => {
    const { asked, outcome } = await start().run(['a/m', 'b/m'], [status(500), status(500)])
    expect(asked).toEqual(['a/m', 'b/m', 'b/m'])
    expect(outcome).toMatchObject({ ok: true, attempts: 3, answer: 'answer of b/m' })
  })

  it('asks all six that a caller named', async () => {
    const ids = ['a/m', 'b/m', 'c/m', 'd/m', 'e/m', 'f/m']
    const { asked } = await start().run(ids, Array(9).fill(status(500)))
    expect(asked).toEqual(ids)
  })

  it("stops at what is the caller's own fault, wherever it happens", async () => {
    const { asked, outcome } = await start().run(['a/m', 'b/m', 'c/m'], [status(500), status(400)])
    expect(asked).toEqual(['a/m', 'b/m'])
    expect(outcome.ok || failureOf(outcome.failures).status).toBe(400)
  })

  it("lets errors that are not a vendor's pass", async () => {
    const refusal = new AppError('invalid_request', 'no')
    await expect(start().run(['a/m'], [refusal])).rejects.toBe(refusal)
  })

  it("begins nothing after the caller's time is up", async () => {
    const { asked } = await start({ stepMs: 600 }).run(['a/m', 'b/m', 'c/m'], Array(3).fill(status(500)), {
      timeoutMs: 1000,
    })
    expect(asked).toEqual(['a/m', 'b/m'])
  })

  it('begins nothing after the caller has left, and does not wait out a pause', async () => {
    const startedMs = performance.now()
    const leaving = new AbortController()
    const call = start({ signal: leaving.signal }).run(['a/m'], [status(429, 2000), status(500)])
    leaving.abort()
    expect((await call).asked).toEqual(['a/m'])
    const gone = await start({ signal: leaving.signal }).run(['a/m'], [status(429, 2000)])
    expect([gone.asked, performance.now() - startedMs < 1000]).toEqual([['a/m'], true])
  })
})

describe('a breaker', () => {
  it('opens all the same while a caller has invented names fail', () => {
    const commands: RedisCommand[] = []
    const pipeline = async (sent: readonly RedisCommand[]) => {
      commands.push(...sent)
      return []
    }
    const world = { ...fakeDeps(), redis: { run: async () => undefined, pipeline }, defer: () => undefined }
    for (let failure = 0; failure < 5; failure += 1) {
      noteFailure(world, 'a/m')
      for (let at = 0; at < 900; at += 1) noteFailure(world, `prv_1/${failure}-${at}`)
    }
    expect(world.memory.targets.size).toBe(1000)
    expect(commands.map(([verb, key]) => [verb, key])).toEqual([['SETPX', 'brk:a/m']])
  })

  const opened = (id: string, until: number): RedisCommand[] => [['SETPX', `brk:${id}`, String(until), 10_000]]

  it('opens for all isolates at the fifth failure in a row, and not before', async () => {
    const { run, commands, log } = start()
    // However often one call tries, it counts once.
    for (let call = 0; call < 2; call++) await run(['a/m'], [fault('garbage')])
    for (let call = 0; call < 2; call++) await run(['a/m'], [status(500), status(500), status(500)])
    expect(commands).toEqual([])
    await run(['a/m'], [fault('cut')])
    expect(commands).toEqual(opened('a/m', 11_000))
    expect(log.at(-1)).toMatchObject({ level: 'warn', event: 'breaker_opened', facts: { target: 'a/m' } })
  })

  it('counts from the start again after a success', async () => {
    const { run, commands } = start()
    for (let round = 0; round < 6; round++) await run(['a/m'], [status(500), status(500)])
    expect(commands).toEqual([])
  })

  it("is not moved by a caller's fault, a full vendor, or a caller in a hurry", async () => {
    const { run, memory } = start()
    for (const error of [status(400), status(404), status(429)]) await run(['a/m'], Array(5).fill(error))
    for (let call = 0; call < 6; call++) await run(['a/m'], [fault('timeout')], { timeoutMs: 1000 })
    expect([...memory.targets.values()].every(({ failures }) => failures === 0)).toBe(true)
  })
})

describe('the operator', () => {
  it('hears an alarm for a credential, and a warning for what passes by itself', async () => {
    const { run, log } = start()
    await run(['a/m'], [status(401)])
    await run(['a/m'], [status(500)])
    await run(['a/m'], [new UpstreamError('aborted', 'left')])
    expect(log.map(({ level, event }) => [level, event])).toEqual([
      ['error', 'provider_refused_credential'],
      ['warn', 'attempt_failed'],
      ['debug', 'attempt_aborted'],
    ])
  })
})

describe('a node that cannot be reached', () => {
  it('serves nothing from then on', async () => {
    const { run, memory } = start()
    memory.listings.set('gpu', { models: [{ name: 'm' }], fetchedMs: 0, failed: false, refreshing: false })
    const { outcome } = await run([['gpu/m', node('gpu')]], Array(3).fill(fault('connect')))
    expect(memory.listings.get('gpu')).toEqual({
      models: [{ name: 'm' }],
      fetchedMs: 1000,
      failed: true,
      refreshing: false,
    })
    expect(outcome.ok || failureOf(outcome.failures)).toMatchObject({ code: 'no_capable_model', retryAfterSeconds: 5 })
  })

  it('is another thing than a node that is slow or wrong', async () => {
    const { run, memory } = start()
    await run([['gpu/m', node('gpu')]], [fault('garbage')])
    await run([['gpu/m', node('gpu')]], [fault('timeout')])
    expect(memory.listings.size).toBe(0)
  })
})

describe('what the caller is told', () => {
  const at = (id: string, error: UpstreamError): FailedAttempt => ({
    target: target(id, provider(id.slice(0, 1))),
    error,
  })

  it.each([
    ['a 5xx', status(500), 502, 'provider_error', undefined],
    ['a credential', status(401), 502, 'provider_error', undefined],
    ['an unknown 4xx', status(405), 502, 'provider_error', undefined],
    ['garbage', fault('garbage'), 502, 'provider_error', undefined],
    ['a cut', fault('cut'), 502, 'provider_error', undefined],
    ['no connection', fault('connect'), 502, 'network_error', undefined],
    ['silence', fault('timeout'), 504, 'upstream_timeout', undefined],
    ['a full vendor', status(429), 429, 'rate_limit_exceeded', 1],
    ['a full vendor with a time', status(429, 20_500), 429, 'rate_limit_exceeded', 21],
    ['a failing vendor with a time', status(503, 3000), 502, 'provider_error', 3],
  ])('of one target: %s', (_what, error, code, name, retryAfterSeconds) => {
    const told = failureOf([at('a/m', error)])
    expect(told).toMatchObject({ status: code, code: name, wireCode: name, retryAfterSeconds })
    expect(told.details.attempted).toHaveLength(1)
    expect(failureOf([at('a/m', error), at('a/m', error)]).code).toBe(name)
  })

  it('of several targets is what was tried and why it failed', () => {
    const told = failureOf([at('a/m', status(500, 9000)), at('b/m', fault('timeout')), at('b/m', status(503, 4000))])
    expect(told).toMatchObject({
      code: 'all_providers_failed',
      status: 502,
      retryAfterSeconds: 4,
      details: {
        attempted: [
          { target: 'a/m', reason: 'status_500' },
          { target: 'b/m', reason: 'timeout' },
          { target: 'b/m', reason: 'status_503' },
        ],
      },
    })
  })

  it('of several full ones is 429 with the shortest wait', () => {
    const told = failureOf([at('a/m', status(429, 9000)), at('b/m', status(429, 4000)), at('c/m', status(429))])
    expect(told).toMatchObject({ code: 'rate_limit_exceeded', status: 429, retryAfterSeconds: 4 })
  })

  it("of the caller's own fault is what the vendor said, in its status", () => {
    const vendor = { message: 'Too long.', type: 'invalid_request_error', param: 'messages', code: 'too_long' }
    const refusal = new UpstreamError('status', 'failed', { status: 413, vendor })
    expect(failureOf([at('a/m', status(500)), at('b/m', refusal)])).toMatchObject({
      status: 413,
      message: 'Too long.',
      type: 'invalid_request_error',
      param: 'messages',
      wireCode: 'too_long',
      details: {},
    })
    expect(failureOf([at('a/m', status(400))])).toMatchObject({ status: 400, wireCode: null })
  })

  it('without any target left is 503', () => {
    expect(failureOf([])).toMatchObject({ status: 503, code: 'no_capable_model' })
  })
})

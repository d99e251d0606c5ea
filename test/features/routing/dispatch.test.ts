import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import { createMemory } from '../../../src/core/memory.ts'
import { type Provider, UpstreamError } from '../../../src/core/models.ts'
import type { TargetState } from '../../../src/core/routing.ts'
import { barredNow, noteFailure } from '../../../src/features/routing/breaker.ts'
import { type DispatchCall, dispatch } from '../../../src/features/routing/dispatch.ts'
import { type FailedAttempt, failureOf } from '../../../src/features/routing/service.ts'
import { fakeAdmission, fakeDeps, keptLog } from '../../support/fake-deps.ts'
import { memoryRedis } from '../../support/gateway-redis.ts'
import { node, provider, target } from './world.ts'

const status = (code: number, retryAfterMs?: number) =>
  new UpstreamError('status', 'failed', { status: code, retryAfterMs })
const fault = (name: 'connect' | 'timeout' | 'garbage' | 'cut') => new UpstreamError(name, 'failed')

/** Runs a call over targets whose attempts fail as scripted, then succeed; nothing waits for longer than a moment. */
function start(given: { attemptMs?: number; signal?: AbortSignal; probes?: readonly string[]; away?: true } = {}) {
  const [memory, kept] = [createMemory(), keptLog()]
  const deferred: Promise<unknown>[] = []
  let nowMs = 1000
  const redis = memoryRedis(() => nowMs)
  const states = new Map(
    given.probes?.map((id) => [id, { kind: 'probe', id, slot: 1, untilMs: 2000 } satisfies TargetState]),
  )
  const world = {
    ...fakeDeps(),
    admission: { ...fakeAdmission(), states, statesUnknown: given.away },
    memory,
    log: kept.log,
    now: () => nowMs,
    random: () => 0.01,
    redis,
    defer: (work: Promise<unknown>) => void deferred.push(work),
    signal: given.signal ?? new AbortController().signal,
    requestId: 'req_1',
    startedMs: 1000,
    arrival: undefined,
  }
  const run = async (
    ids: readonly (string | [string, Provider])[],
    failures: readonly unknown[],
    call: Partial<DispatchCall<string>> = {},
    timeoutMs?: number,
  ) => {
    const script = [...failures]
    const asked: string[] = []
    const targets = ids.map((one) => ({
      target: typeof one === 'string' ? target(one) : target(...one),
      reason: 'test',
      timeoutMs,
    }))
    const outcome = await dispatch<string>(
      world,
      { strategy: 'explicit', targets, excluded: [] },
      {
        repeatable: false,
        attempt: async ({ id }) => {
          asked.push(id)
          nowMs += given.attemptMs ?? 0
          const failure = script.shift()
          if (failure !== undefined) throw failure
          return `answer of ${id}`
        },
        ...call,
      },
    )
    await Promise.all(deferred.splice(0))
    return { asked, outcome }
  }
  const passes = (ms: number) => {
    nowMs += ms
    world.startedMs = nowMs
  }
  const stateOf = (id: string) => redis.fields(`tgt:${id}`)
  return { run, memory, redis, stateOf, passes, log: kept.lines }
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
    const { asked } = await start({ attemptMs: 600 }).run(['a/m', 'b/m', 'c/m'], Array(3).fill(status(500)), {
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
  it('opens all the same while a caller has invented names fail', async () => {
    const redis = memoryRedis(() => 1000)
    const world = { ...fakeDeps(), redis, defer: () => undefined }
    for (let failure = 0; failure < 5; failure += 1) {
      noteFailure(world, 'a/m')
      for (let at = 0; at < 900; at += 1) noteFailure(world, `prv_1/${failure}-${at}`)
    }
    expect(world.memory.targets.size).toBe(1000)
    expect(barredNow(world, 'a/m', 0)).toMatchObject({ reason: 'breaker_open' })
    expect(redis.fields('tgt:a/m').get('u')).toBeDefined()
  })

  it('opens for all isolates at the fifth failure in a row, and not before', async () => {
    const { run, stateOf, log } = start()
    // However often one call tries, it counts once.
    for (let call = 0; call < 2; call++) await run(['a/m'], [fault('garbage')])
    for (let call = 0; call < 2; call++) await run(['a/m'], [status(500), status(500), status(500)])
    expect(stateOf('a/m').get('u')).toBeUndefined()
    await run(['a/m'], [fault('cut')])
    expect(stateOf('a/m').get('u')).toBe('11000')
    expect(log.at(-1)).toMatchObject({ level: 'warn', event: 'breaker_opened', facts: { target: 'a/m' } })
  })

  it('lets nobody ask who was admitted before, and those after go by what they are told', async () => {
    const { run, passes, stateOf } = start()
    for (let call = 0; call < 5; call++) await run(['a/m'], [fault('garbage')])
    expect(await run(['a/m', 'b/m'], [])).toMatchObject({ asked: ['b/m'], outcome: { ok: true, attempts: 1 } })
    const { asked, outcome } = await run(['a/m'], [])
    expect(asked).toEqual([])
    expect(outcome.ok || failureOf(outcome.failures, outcome.passedOver)).toMatchObject({
      code: 'model_overloaded',
      retryAfterSeconds: 10,
      details: { attempted: [{ target: 'a/m', reason: 'breaker_open' }] },
    })
    passes(1)
    expect((await run(['a/m'], [])).asked).toEqual(['a/m'])
    expect(stateOf('a/m').get('u')).toBe('11000')
  })

  it('bars as long as it is known to be open whom nobody could tell anything', async () => {
    const { run, passes } = start({ away: true })
    for (let call = 0; call < 5; call++) await run(['a/m'], [fault('garbage')])
    await run(['b/m'], [status(429, 4000)])
    passes(3000)
    expect((await run(['a/m', 'b/m', 'c/m'], [])).asked).toEqual(['c/m'])
    passes(2000)
    expect((await run(['a/m', 'b/m', 'c/m'], [])).asked).toEqual(['b/m'])
    passes(6000)
    expect((await run(['a/m', 'b/m', 'c/m'], [])).asked).toEqual(['a/m'])
  })

  it('is asked for a call that tries it: what became of it is told, and it is not asked twice', async () => {
    const probing = start({ probes: ['a/m'] })
    await probing.redis.pipeline([['HSET', 'tgt:a/m', { u: '900', k: '1', p1: '2000' }]])
    expect((await probing.run(['a/m'], [status(500)])).asked).toEqual(['a/m'])
    expect(Object.fromEntries(probing.stateOf('a/m'))).toEqual({ u: '21000', k: '2' })
    const well = start({ probes: ['a/m'] })
    await well.redis.pipeline([['HSET', 'tgt:a/m', { u: '900', k: '1', p1: '2000' }]])
    await well.run(['a/m'], [])
    expect(Object.fromEntries(well.stateOf('a/m'))).toEqual({ u: '900', k: '1', g: '1' })
  })

  it.each([
    ['it was not asked', ['b/m', 'a/m'], []],
    ['the fault was its caller’s', ['a/m'], [status(400)]],
    ['it has no capacity', ['a/m'], [status(429)]],
    ['its caller left', ['a/m'], [new UpstreamError('aborted', 'left')]],
  ])('gives the place to the next when %s', async (_why, ids, failures) => {
    const { run, redis, stateOf } = start({ probes: ['a/m'] })
    await redis.pipeline([['HSET', 'tgt:a/m', { u: '900', k: '1', p1: '2000' }]])
    await run(ids, failures)
    expect(Object.fromEntries(stateOf('a/m'))).toMatchObject({ u: '900', k: '1' })
    expect(stateOf('a/m').get('p1')).toBeUndefined()
  })

  it('counts from the start again after a success', async () => {
    const { run, stateOf } = start()
    for (let round = 0; round < 6; round++) await run(['a/m'], [status(500), status(500)])
    expect(stateOf('a/m').get('u')).toBeUndefined()
  })

  it("is not moved by a caller's fault, a full vendor, or a caller in a hurry", async () => {
    const { run, stateOf, redis, passes } = start()
    for (const error of [status(400), status(404)]) await run(['a/m'], Array(5).fill(error))
    for (let call = 0; call < 6; call++) await run(['a/m'], [fault('timeout')], { timeoutMs: 1000 })
    expect(redis.requests()).toBe(0)
    for (let call = 0; call < 6; call++) {
      await run(['a/m'], [status(429, 50_000)])
      passes(50_000)
    }
    expect([stateOf('a/m').get('u'), stateOf('a/m').get('f')]).toEqual([undefined, undefined])
  })

  it('works for this isolate alone while Redis is away', async () => {
    const { run, redis, passes } = start()
    redis.away(true)
    for (let call = 0; call < 5; call++) await run(['a/m'], [fault('garbage')])
    passes(9_999)
    expect((await run(['a/m'], [])).asked).toEqual([])
    passes(1)
    expect((await run(['a/m'], [])).asked).toEqual(['a/m'])
  })
})

describe('a target that has no capacity', () => {
  it('is asked by nobody before it said, here and elsewhere', async () => {
    const { run, passes, stateOf } = start()
    expect((await run(['a/m', 'b/m'], [status(429, 7500)])).asked).toEqual(['a/m', 'b/m'])
    expect(stateOf('a/m').get('c')).toBe('8500')
    const { asked, outcome } = await run(['a/m'], [])
    expect(asked).toEqual([])
    expect(outcome.ok || failureOf(outcome.failures, outcome.passedOver)).toMatchObject({
      code: 'rate_limit_exceeded',
      status: 429,
      retryAfterSeconds: 8,
    })
    passes(7500)
    expect((await run(['a/m'], [])).asked).toEqual(['a/m'])
  })

  it('that does not say cools for a second, then for two, and for one again once it answered', async () => {
    const { run, passes, stateOf } = start()
    const cools = async (failures: unknown[]) => {
      await run(['a/m'], failures)
      return stateOf('a/m').get('c')
    }
    // The least that the jitter leaves of it.
    expect(await cools([status(429)])).toBe('1902')
    passes(902)
    expect(await cools([status(429)])).toBe('3706')
    passes(1804)
    await run(['a/m'], [])
    expect(await cools([status(429)])).toBe('4608')
  })
})

describe('asking the same target again', () => {
  it('is done for a tenth of its calls, and ten times a minute at least', async () => {
    const { run, passes } = start()
    /** Every third call fails at first, so that the breaker stays closed. */
    const repeats = async (calls: number) => {
      let asked = 0
      for (let call = 0; call < calls; call++) {
        asked += (await run(['a/m'], call % 3 === 0 ? [status(503)] : [])).asked.length
      }
      return asked - calls
    }
    expect(await repeats(90)).toBe(10)
    expect(await repeats(210)).toBe(20)
    passes(60_000)
    expect(await repeats(60)).toBe(10)
  })

  it('is none of moving on', async () => {
    const { run } = start()
    for (let call = 0; call < 40; call++) {
      expect((await run(['a/m', 'b/m'], [status(503)])).asked).toEqual(['a/m', 'b/m'])
      for (let good = 0; good < 2; good++) await run(['a/m'], [])
    }
    expect((await run(['a/m'], [status(503)])).asked).toEqual(['a/m', 'a/m'])
  })

  it('is not done where a policy gave it less time than it needs', async () => {
    const { run, stateOf } = start()
    for (let call = 0; call < 6; call++) await run(['a/m'], [fault('timeout')], {}, 500)
    expect(stateOf('a/m').size).toBe(0)
  })
})

describe('a generation that was not answered in time', () => {
  it('goes to another target only where both may be paid', async () => {
    const never = await start().run(['a/m', 'b/m'], [fault('timeout')])
    expect([never.asked, never.outcome.ok]).toEqual([['a/m'], false])
    for (const isCovered of [true, false]) {
      const asking: string[] = []
      const mayPayTwice = async ({ id }: { id: string }) => {
        asking.push(id)
        return isCovered
      }
      const { asked } = await start().run(['a/m', 'b/m'], [fault('timeout')], { mayPayTwice })
      expect([asked, asking]).toEqual([isCovered ? ['a/m', 'b/m'] : ['a/m'], ['a/m']])
    }
  })

  it('asks nobody for money where there is no other target', async () => {
    const mayPayTwice = () => Promise.reject(new Error('nobody is to be asked'))
    expect((await start().run(['a/m'], [fault('timeout')], { mayPayTwice })).asked).toEqual(['a/m'])
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

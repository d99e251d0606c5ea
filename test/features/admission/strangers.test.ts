import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deps } from '../../../src/core/context.ts'
import { AppError } from '../../../src/core/errors.ts'
import { createStrangers } from '../../../src/features/admission/service.ts'
import { fakeDeps, fakeSettings } from '../../support/fake-deps.ts'
import { count } from '../../support/lane.ts'
import { backends, type RedisBackend, startEmbedded } from './backends.ts'

const START_MS = 1_800_000_000_000

let made = 0

/** One address before one isolate, whose clock is the test's. */
function stranger({ redis }: Pick<Deps, 'redis'>, door: 'private' | 'public' = 'private') {
  made += 1
  const ip = `198.18.${made >> 8}.${made & 255}`
  const clock = { nowMs: START_MS }
  const deps = fakeDeps({ redis, now: () => clock.nowMs })
  const isolate = () => createStrangers()
  let strangers = isolate()
  return {
    clock,
    /** How long the request has to wait, in seconds; 0 for one that passed. */
    async knock(from = ip): Promise<number> {
      const refusal = await strangers(deps, { ip: from, door }).catch((error: unknown) => error)
      if (refusal === undefined) return 0
      if (!(refusal instanceof AppError)) throw refusal
      expect(refusal).toMatchObject({ code: 'rate_limit_exceeded', status: 429, retryable: true })
      return refusal.retryAfterSeconds ?? Number.NaN
    },
    /** Another isolate, which remembers nothing. */
    move: () => {
      strangers = isolate()
    },
  }
}

const times = async (amount: number, knock: () => Promise<number>): Promise<number[]> => {
  const waits: number[] = []
  for (let at = 0; at < amount; at++) waits.push(await knock())
  return waits
}

describe.each(backends)('an address without a credential, counted by $name', ({ start }) => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  it('has ten requests at once and one more each second', async () => {
    const { knock, clock } = stranger(backend)
    expect(await times(11, knock)).toEqual([...Array.from({ length: 10 }, () => 0), 1])
    clock.nowMs += 999
    expect(await knock()).toBe(1)
    clock.nowMs += 1
    expect(await times(2, knock)).toEqual([0, 1])
    clock.nowMs += 10_000
    expect((await times(11, knock)).filter((wait) => wait === 0)).toHaveLength(10)
  })

  it(
    'never gets more than the burst and the rate, from whichever isolate',
    async () => {
      const gaps = fc.array(fc.integer({ min: 0, max: 1500 }), { minLength: 20, maxLength: 60 })
      await fc.assert(
        fc.asyncProperty(gaps, fc.integer({ min: 1, max: 5 }), async (steps, moves) => {
          const { knock, clock, move } = stranger(backend)
          const startMs = clock.nowMs
          let passed = 0
          for (const [at, gap] of steps.entries()) {
            clock.nowMs += gap
            if (at % moves === 0) move()
            if ((await knock()) === 0) passed += 1
            expect(passed).toBeLessThanOrEqual(10 + (clock.nowMs - startMs) / 1000)
          }
        }),
        { numRuns: count(4, 100), seed: 5 },
      )
    },
    count(30_000, 300_000),
  )

  it('has twenty at once and ten each second where no credential is needed', async () => {
    const { knock, clock } = stranger(backend, 'public')
    expect((await times(30, knock)).filter((wait) => wait === 0)).toHaveLength(20)
    clock.nowMs += 100
    expect(await times(2, knock)).toEqual([0, 1])
    clock.nowMs += 60_000
    expect((await times(200, knock)).every((wait) => wait <= 1)).toBe(true)
  })

  it('is shut out for five minutes by the hundred and first request of a minute, in every isolate', async () => {
    const { knock, clock, move } = stranger(backend)
    expect(Math.max(...(await times(100, knock)))).toBe(1)
    expect(await knock()).toBe(300)
    clock.nowMs += 60_000
    expect(await knock()).toBe(240)
    move()
    expect(await knock()).toBeGreaterThan(290)
  })

  it('is not shut out by what it may do', async () => {
    const { knock, clock } = stranger(backend)
    for (let at = 0; at < 150; at++) {
      expect(await knock()).toBe(0)
      clock.nowMs += 1000
    }
  })
})

describe('a flood of one address', () => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await startEmbedded()
  })
  afterAll(() => backend?.stop())

  it('reaches Redis a few times, however many come and however many at once', async () => {
    const { knock } = stranger(backend)
    const before = backend.proxy.requests()
    const waits = await Promise.all(Array.from({ length: 2000 }, () => knock()))
    expect(waits.filter((wait) => wait === 0)).toHaveLength(10)
    await times(1000, knock)
    expect(await knock()).toBe(300)
    // A script that Redis does not know yet is sent again.
    expect(backend.proxy.requests() - before).toBeLessThanOrEqual(2 * 10 + 5)
  })

  it('is of one address, for an IPv6 network too', async () => {
    const { knock } = stranger(backend)
    const at = (host: string) => () => knock(`2001:db8:77:${made}${host}`)
    await times(10, at('::1'))
    expect(await at('::2')()).toBe(1)
    expect(await at('1::2')()).toBe(0)
  })

  it('does not name the address in Redis', async () => {
    const { knock } = stranger(backend)
    const sent: string[] = []
    const { run } = backend.redis
    const redis: Deps['redis'] = {
      ...backend.redis,
      run: (script, keys, args) => {
        sent.push(...keys, ...args.map(String))
        return run(script, keys, args)
      },
    }
    await createStrangers()(fakeDeps({ redis }), { ip: '203.0.113.77', door: 'private' })
    expect(sent.length).toBeGreaterThan(5)
    expect(sent.join(' ')).not.toContain('203.0')
    expect(await knock()).toBe(0)
  })

  it.each([
    ['private', 1, 10_000],
    ['public', 5, 1000],
  ] as const)('without Redis is held to a tenth in each isolate (%s)', async (door, atOnce, nextMs) => {
    const { knock, clock } = stranger(backend, door)
    backend.proxy.mode('refuse')
    try {
      const waits = await times(20, knock)
      expect(waits.filter((wait) => wait === 0)).toHaveLength(atOnce)
      expect(waits.at(-1)).toBe(nextMs / 1000)
      clock.nowMs += nextMs - 1
      expect(await knock()).toBe(1)
      clock.nowMs += 1
      expect(await times(2, knock)).toEqual([0, nextMs / 1000])
    } finally {
      backend.proxy.mode('pass')
    }
  })
})

describe('what an isolate remembers of addresses', () => {
  const redis = (run: () => unknown): Deps['redis'] => ({
    run: async () => run(),
    pipeline: () => Promise.reject(new Error('not asked')),
  })

  it('is bounded: those who came first are forgotten', async () => {
    let asked = 0
    const { knock } = stranger({
      redis: redis(() => {
        asked += 1
        return [60_000, 0, 1]
      }),
    })
    const address = (at: number) => `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`
    await knock(address(0))
    await knock(address(0))
    expect(asked).toBe(1)
    for (let at = 1; at <= 10_000; at++) await knock(address(at))
    await knock(address(10_000))
    expect(asked).toBe(10_001)
    await knock(address(0))
    expect(asked).toBe(10_002)
  })

  it.each(['127.0.0.1', '::1', '::ffff:127.0.0.1', 'unknown'])(
    'is nothing of %s while one works on this machine, and as much as of others elsewhere',
    async (ip) => {
      let asked = 0
      const run = () => {
        asked += 1
        return [0, 0, 1]
      }
      const visit = async (environment: Deps['settings']['environment']) => {
        const deps = fakeDeps({ redis: redis(run), settings: { ...fakeSettings, environment } })
        await createStrangers()(deps, { ip, door: 'private' })
      }
      await visit('development')
      await visit('test')
      expect(asked).toBe(0)
      await visit('staging')
      await visit('production')
      expect(asked).toBe(2)
    },
  )
})

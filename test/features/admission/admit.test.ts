import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AppError, DependencyError } from '../../../src/core/errors.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { createKey } from '../../../src/features/keys/format.ts'
import { hashKey } from '../../../src/features/keys/service.ts'
import { limitKeys } from '../../../src/features/limits/service.ts'
import { recordKeys } from '../../../src/features/records/service.ts'
import { type RedisBackend, startEmbedded } from './backends.ts'
import { admissionWorld } from './world.ts'

let backend: RedisBackend

beforeAll(async () => {
  backend = await startEmbedded()
})
afterAll(() => backend?.stop())

const world = (rules: Parameters<typeof admissionWorld>[1] = {}) => admissionWorld(backend, rules)
const budget = { id: 'bud_1', window: 'total' as const, limit_nanos: 1000 }

/** Redis requests that this work costs. */
async function redisCost(work: () => Promise<unknown>): Promise<number> {
  const before = backend.proxy.requests()
  await work()
  return backend.proxy.requests() - before
}

async function withoutRedis(work: () => Promise<unknown>): Promise<void> {
  backend.proxy.mode('refuse')
  try {
    await work()
  } finally {
    backend.proxy.mode('pass')
  }
}

const failure = (code: string) => expect.objectContaining({ code })

describe('who is asking', () => {
  it('answers 401 to no credential, to other credentials and to mistyped keys, and asks no store', async () => {
    const { admit, apiKey, state, ledgerCalls } = world({ budgets: [budget] })
    const typo = apiKey.slice(0, -1) + (apiKey.endsWith('0') ? '1' : '0')
    const cost = await redisCost(async () => {
      await expect(admit({ credential: undefined })).rejects.toThrow(failure('missing_api_key'))
      for (const credential of ['', 'sk-123', 'hx_live_', typo, `${apiKey} `, apiKey.toLowerCase()]) {
        await expect(admit({ credential })).rejects.toThrow(failure('invalid_api_key'))
      }
    })
    expect(cost).toBe(0)
    expect(state.lookups).toBe(0)
    expect(ledgerCalls).toEqual([])
  })

  it('loads a cold key from Postgres once, for every isolate', async () => {
    const { admit, forget, state } = world({ budgets: [budget] })
    await admit()
    expect(state.lookups).toBe(2)
    forget()
    await admit()
    await admit()
    expect(state.lookups).toBe(2)
  })

  it('looks a cold key up once for a crowd of callers', async () => {
    const { admit, state } = world({ budgets: [budget] })
    const admitted = await Promise.all(Array.from({ length: 50 }, () => admit()))
    expect(admitted.every(({ held }) => held)).toBe(true)
    expect(state.lookups).toBe(2)
  })

  it('refuses a crowd with an unknown key after one look-up', async () => {
    const { admit, state } = world()
    state.row = undefined
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => admit()))
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual(
      Array.from({ length: 20 }, () => 'invalid_api_key'),
    )
    expect(state.lookups).toBe(1)
  })

  it('admits a warm key with one Redis request and one ledger call', async () => {
    const { admit, ledgerCalls } = world({ budgets: [budget], limits: [{ metric: 'requests', amount: 60 }] })
    await admit()
    ledgerCalls.length = 0
    expect(await redisCost(() => admit())).toBe(1)
    expect(ledgerCalls).toEqual(['hold'])
  })

  it('remembers an unknown key as unknown: the second look costs Postgres nothing', async () => {
    const { admit, state, forget } = world()
    state.row = undefined
    const credential = createKey('live')
    await expect(admit({ credential })).rejects.toThrow(failure('invalid_api_key'))
    expect(state.lookups).toBe(1)
    forget()
    await expect(admit({ credential })).rejects.toThrow(failure('invalid_api_key'))
    await expect(admit({ credential })).rejects.toThrow(failure('invalid_api_key'))
    expect(state.lookups).toBe(1)
  })

  it('counts only keys that do not exist against an address', async () => {
    const real = world()
    await real.admit()
    expect(real.state.guesses).toBe(0)
    const guess = world()
    guess.state.row = undefined
    await expect(guess.admit()).rejects.toThrow(failure('invalid_api_key'))
    expect(guess.state.guesses).toBe(1)
  })

  it('limits the look-ups of an address', async () => {
    const { admit, state } = world()
    state.allowed = false
    await expect(admit()).rejects.toThrow(failure('rate_limit_exceeded'))
    expect(state.lookups).toBe(0)
  })

  it.each([
    ['a key that is not live any more', { is_live: false }],
    ['an expired key', { expires_at: 1_799_999_999 }],
  ])('answers 401 to %s, and holds nothing for it', async (_what, change) => {
    const { admit, state, ledgerCalls } = world({ budgets: [budget] })
    if (state.row) Object.assign(state.row, change)
    await expect(admit()).rejects.toThrow(failure('invalid_api_key'))
    await expect(admit()).rejects.toThrow(failure('invalid_api_key'))
    expect(ledgerCalls).toEqual([])
  })

  it('refuses a key from the second in which it expires', async () => {
    const { admit, state } = world()
    if (state.row) state.row.expires_at = state.nowMs / 1000 + 1
    state.nowMs += 999
    await admit()
    state.nowMs += 1
    await expect(admit()).rejects.toThrow(failure('invalid_api_key'))
  })

  it('answers 403 to a key without the scope, and holds nothing for it', async () => {
    const { admit, ledgerCalls } = world({ budgets: [budget] })
    await expect(admit({ scope: 'keys:write' })).rejects.toThrow(failure('permission_denied'))
    expect(ledgerCalls).toEqual([])
    await admit({ scope: 'chat:read' })
  })
})

describe('a policy that changes', () => {
  it('is seen by the next call, at the price of one more Redis request', async () => {
    const { admit, apiKey, pepper } = world()
    const { policy } = await admit()
    const newer = { ...policy, version: 'newer', scopes: ['models:read'] }
    const key = recordKeys.key(await hashKey(pepper, apiKey))
    await backend.redis.pipeline([['HSET', key, { v: newer.version, p: JSON.stringify(newer) }]])
    const cost = await redisCost(() => expect(admit()).rejects.toThrow(failure('permission_denied')))
    expect(cost).toBe(2)
    expect(await redisCost(() => admit({ scope: 'models:read' }))).toBe(1)
  })

  it('leaves no hold of the older policy behind', async () => {
    const { admit, apiKey, pepper, holds, ledgerCalls } = world({ budgets: [budget] })
    const { policy } = await admit()
    holds.clear()
    ledgerCalls.length = 0
    const newer = { ...policy, version: 'newer', budgets: [{ ...budget, id: 'bud_2', limitNanoUsd: 5 }] }
    const key = recordKeys.key(await hashKey(pepper, apiKey))
    await backend.redis.pipeline([['HSET', key, { v: newer.version, p: JSON.stringify(newer) }]])
    await admit()
    expect(ledgerCalls).toEqual(['hold', 'release', 'hold'])
    expect([...holds.values()].map(({ budgets }) => budgets)).toEqual([newer.budgets])
  })

  it('shuts out a key whose record says that it is refused', async () => {
    const { admit, apiKey, pepper, holds, settled } = world({ budgets: [budget] })
    await admit()
    holds.clear()
    const key = recordKeys.key(await hashKey(pepper, apiKey))
    await backend.redis.pipeline([['HSET', key, { v: 'refused', p: '' }]])
    await expect(admit()).rejects.toThrow(failure('invalid_api_key'))
    await settled()
    expect(holds.size).toBe(0)
  })
})

describe('money at admission', () => {
  it('refuses with insufficient_quota, names the budget, and forgets the call', async () => {
    const { admit, state, orgId, settled } = world({ budgets: [budget] })
    await admit()
    state.ledgerRefuses = true
    await expect(admit({ requestId: 'req_refused' })).rejects.toMatchObject({
      code: 'insufficient_quota',
      status: 429,
      retryable: false,
      details: { budget_id: 'bud_1' },
    })
    await settled()
    const [open] = await backend.redis.pipeline([['HGETALL', redisKeys.open(orgId)]])
    expect(Object.keys(open as object)).toEqual(['req_1'])
  })

  it('has the ledger take a refused call off the list where Redis does not answer', async () => {
    const { admit, state, deps, ledgerCalls, settled } = world({ budgets: [budget] })
    await admit()
    state.ledgerRefuses = true
    deps.redis = { ...deps.redis, pipeline: () => Promise.reject(new DependencyError('redis', new Error('slow'))) }
    await expect(admit({ requestId: 'req_refused' })).rejects.toThrow(failure('insufficient_quota'))
    await settled()
    expect(ledgerCalls.slice(-2)).toEqual(['hold', 'release'])
  })

  it('gives back what a call held that a limit then refused', async () => {
    const { admit, holds, settled } = world({
      budgets: [budget],
      limits: [{ metric: 'requests', amount: 1, burst: 1 }],
    })
    await admit()
    await expect(admit()).rejects.toThrow(failure('rate_limit_exceeded'))
    await settled()
    expect([...holds.keys()]).toEqual(['req_1'])
  })

  it('answers 503 budget_unavailable without a ledger, and takes the lost hold back', async () => {
    const { admit, state, ledgerCalls, orgId, settled } = world({ budgets: [budget] })
    await admit()
    state.ledgerAway = true
    ledgerCalls.length = 0
    await expect(admit({ requestId: 'req_lost' })).rejects.toMatchObject({ code: 'budget_unavailable', status: 503 })
    await settled()
    expect(ledgerCalls).toEqual(['hold', 'release'])
    const [open] = await backend.redis.pipeline([['HGETALL', redisKeys.open(orgId)]])
    expect(Object.keys(open as object)).toEqual(['req_1'])
  })

  it('does without the ledger where no hard budget applies', async () => {
    const { admit, state, ledgerCalls } = world()
    state.ledgerAway = true
    expect((await admit()).held).toBe(false)
    expect(ledgerCalls).toEqual([])
  })

  it('says that a request larger than its window can never pass', async () => {
    const { admit } = world({ limits: [{ metric: 'tokens', amount: 9 }] })
    await expect(admit()).rejects.toMatchObject({ code: 'request_exceeds_limit', retryable: false })
  })

  it('charges the token window of the minute in which Redis was asked', async () => {
    const { admit, state, orgId } = world({ limits: [{ metric: 'tokens', amount: 1000 }] })
    const { tokenCharges } = await admit()
    const key = limitKeys.window(orgId, 'lim_1', Math.floor(state.nowMs / 60_000))
    expect(tokenCharges).toEqual([{ key, tokens: 10, ttlSeconds: 120 }])
  })
})

describe('without Redis', () => {
  it('trusts what the isolate knows for a minute, then asks Postgres', async () => {
    const { admit, state } = world()
    await admit()
    const before = state.lookups
    await withoutRedis(async () => {
      state.nowMs += 60_000
      await admit()
      expect(state.lookups).toBe(before)
      state.nowMs += 1
      await admit()
      expect(state.lookups).toBe(before + 2)
      state.nowMs += 60_000
      await admit()
      expect(state.lookups).toBe(before + 2)
    })
  })

  it('has one of a crowd ask Postgres, and nobody for a second after it failed', async () => {
    const { admit, state } = world()
    const crowd = () => Promise.allSettled(Array.from({ length: 50 }, () => admit()))
    await admit()
    await withoutRedis(async () => {
      state.nowMs += 60_001
      const before = state.lookups
      expect((await crowd()).every(({ status }) => status === 'fulfilled')).toBe(true)
      expect(state.lookups).toBe(before + 2)
      state.nowMs += 60_001
      state.postgresAway = true
      for (let wave = 0; wave < 2; wave++) {
        const reasons = (await crowd()).map((outcome) => outcome.status === 'rejected' && outcome.reason)
        expect(reasons.every((reason) => reason instanceof DependencyError)).toBe(true)
      }
      expect(state.lookups).toBe(before + 3)
      state.postgresAway = false
      state.nowMs += 1000
      await admit()
    })
  })

  it('admits a cold key by Postgres alone, and refuses an unknown one', async () => {
    const { admit, state, forget } = world()
    await withoutRedis(async () => {
      expect((await admit()).requests).toBeUndefined()
      state.row = undefined
      forget()
      await expect(admit()).rejects.toThrow(failure('invalid_api_key'))
    })
  })

  it('never takes silence for a bad key', async () => {
    const { admit, state, forget } = world()
    await admit()
    state.postgresAway = true
    await withoutRedis(async () => {
      await admit()
      state.nowMs += 60_001
      await expect(admit()).rejects.toThrow(DependencyError)
      forget()
      await expect(admit()).rejects.toThrow(DependencyError)
    })
    forget()
    await admit()
    const unknown = admit({ credential: createKey('live') })
    await expect(unknown).rejects.toThrow(DependencyError)
    await expect(unknown).rejects.not.toThrow(AppError)
  })

  it('lets a tenth of a request limit through', async () => {
    const { admit } = world({ limits: [{ metric: 'requests', amount: 600, burst: 50 }] })
    await withoutRedis(async () => {
      for (let at = 0; at < 5; at++) await admit()
      await expect(admit()).rejects.toMatchObject({ code: 'rate_limit_exceeded', retryAfterSeconds: 1 })
    })
  })

  it('asks the ledger no second time for what it has answered', async () => {
    const { admit, ledgerCalls } = world({ budgets: [budget] })
    await admit()
    ledgerCalls.length = 0
    await withoutRedis(() => admit())
    expect(ledgerCalls).toEqual(['hold'])
  })

  it('holds anew under a policy that was read anew, and gives back what it held before', async () => {
    const { admit, holds, state, ledgerCalls } = world({ budgets: [budget] })
    await admit()
    state.rules.budgets = [budget, { ...budget, id: 'bud_2' }]
    state.nowMs += 60_001
    ledgerCalls.length = 0
    await withoutRedis(() => admit())
    expect(ledgerCalls).toEqual(['hold', 'release', 'hold'])
    expect(holds.get('req_2')?.budgets.map(({ id }) => id)).toEqual(['bud_1', 'bud_2'])
  })

  it('gives back what a ledger may hold that did not answer in time', async () => {
    const { admit, state, settled, ledgerCalls } = world({ budgets: [budget] })
    state.ledgerAway = true
    await withoutRedis(async () => {
      await expect(admit()).rejects.toThrow(failure('budget_unavailable'))
      await settled()
    })
    expect(ledgerCalls).toEqual(['hold', 'release'])
  })

  it('holds money as exactly as ever', async () => {
    const { admit, holds, state, settled, ledgerCalls } = world({
      budgets: [budget],
      limits: [{ metric: 'requests', amount: 10, burst: 10 }],
    })
    await admit()
    await withoutRedis(async () => {
      expect((await admit()).held).toBe(true)
      await expect(admit()).rejects.toThrow(failure('rate_limit_exceeded'))
      await settled()
      expect([...holds.keys()]).toEqual(['req_1', 'req_2'])
      state.nowMs += 60_000
      state.ledgerRefuses = true
      ledgerCalls.length = 0
      await expect(admit()).rejects.toThrow(failure('insufficient_quota'))
      await settled()
      expect(ledgerCalls).toEqual(['hold', 'release'])
      state.nowMs += 60_000
      state.ledgerAway = true
      await expect(admit()).rejects.toThrow(failure('budget_unavailable'))
    })
  })
})

describe('a record of an earlier release', () => {
  it('is loaded again where its limits have another form', async () => {
    const { admit, record, state, forget } = world({ limits: [{ amount: 7 }] })
    const { policy } = await admit()
    const limits = [{ id: 'pol_1:requests', subject: 'key', metric: 'requests', perMinute: 9, burst: 9 }]
    const p = JSON.stringify({ ...policy, version: 'older', limits })
    await backend.redis.pipeline([['HSET', await record(), { v: 'older', p }]])
    forget()
    const before = state.lookups
    expect((await admit()).requests?.limit).toBe(7)
    expect(state.lookups).toBe(before + 2)
  })
})

describe('callers side by side', () => {
  it('judges each by the policy that Redis judged it by', async () => {
    const { admit, apiKey, pepper } = world({ limits: [{ metric: 'requests', amount: 60, burst: 60 }] })
    const { policy } = await admit()
    const newer = { ...policy, version: 'newer', limits: [] }
    const key = recordKeys.key(await hashKey(pepper, apiKey))
    backend.proxy.mode(30)
    try {
      const early = admit()
      await expect.poll(() => backend.proxy.requests()).toBeGreaterThan(0)
      await backend.redis.pipeline([['HSET', key, { v: newer.version, p: JSON.stringify(newer) }]])
      const late = await admit()
      expect(late.policy.version).toBe('newer')
      expect(late.requests).toBeUndefined()
      const first = await early
      expect(first.requests === undefined).toBe(first.policy.version === 'newer')
    } finally {
      backend.proxy.mode('pass')
    }
  })
})

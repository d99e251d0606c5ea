import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Limit } from '../../../src/core/admission.ts'
import { rateOf } from '../../../src/features/admission/rates.ts'
import { admissionScript } from '../../../src/features/admission/script.ts'
import { readReply, scriptInput } from '../../../src/features/admission/script-call.ts'
import { limitKeys } from '../../../src/features/limits/service.ts'
import { count } from '../../support/lane.ts'
import { backends, type RedisBackend } from './backends.ts'
import { callerOf, MINUTE_MS, requests, START_MS, tokens } from './script-caller.ts'

describe.each(backends)('limits in the admission script on $name', ({ start }) => {
  let backend: RedisBackend

  beforeAll(async () => {
    backend = await start()
  })
  afterAll(() => backend?.stop())

  const caller = (limits: Limit[]) => callerOf(backend, limits)

  it('admits exactly the burst and the rate, however many come at once', async () => {
    const { run } = await caller([requests(100, 100)])
    let [admitted, unanswered] = [0, 0]
    for (const elapsedMs of [0, 1, 599, 601, 3000]) {
      let waiting = elapsedMs === 0 ? count(150, 1000) : 20
      const client = async () => {
        while (waiting-- > 0) {
          // On a busy machine Redis may answer too late: then nobody knows whether it admitted.
          const reply = await run(START_MS + elapsedMs).catch(() => undefined)
          if (reply === undefined) unanswered += 1
          else if (reply.kind === 'admitted') admitted += 1
        }
      }
      await Promise.all(Array.from({ length: elapsedMs === 0 ? count(16, 1000) : 16 }, client))
      const allowed = 100 + Math.floor((100 * elapsedMs) / MINUTE_MS)
      expect(admitted).toBeLessThanOrEqual(allowed)
      expect(admitted + unanswered).toBeGreaterThanOrEqual(allowed)
    }
  })

  it('loses nothing to rounding where more than ten come each millisecond', async () => {
    const [amount, burst] = [700_001, 1_000_000]
    const { run, policy } = await caller([requests(amount, burst)])
    const full = `${START_MS}:${burst * MINUTE_MS}`
    await backend.redis.pipeline([['SETPX', limitKeys.bucket(policy.orgId, 'requests'), full, MINUTE_MS]])
    let admitted = 0
    for (let elapsedMs = 1; elapsedMs <= count(6, 12); elapsedMs++) {
      for (let refused = false; !refused; ) {
        refused = (await run(START_MS + elapsedMs)).kind === 'refused'
        if (!refused) admitted += 1
      }
      expect(admitted).toBe(Math.floor((elapsedMs * amount) / MINUTE_MS))
    }
  })

  it(
    'keeps a sliding window below its amount in steady use, and below its documented error in any',
    async () => {
      const step = fc.record({ gap: fc.integer({ min: 0, max: 30_000 }), size: fc.integer({ min: 1, max: 400 }) })
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { minLength: 10, maxLength: 30 }),
          fc.constantFrom<Limit>(tokens(1000), { ...requests(7, 0), algorithm: 'sliding_window', burst: undefined }),
          fc.integer({ min: 1, max: 100 }),
          async (steps, limit, window) => {
            const { run } = await caller([{ ...limit, window }])
            const taken: { atMs: number; size: number }[] = []
            let nowMs = START_MS
            for (const { gap, size: tokensAsked } of steps) {
              nowMs += gap
              const { kind } = await run(nowMs, { tokens: tokensAsked })
              if (kind === 'admitted') taken.push({ atMs: nowMs, size: limit.metric === 'tokens' ? tokensAsked : 1 })
            }
            for (const [first, { atMs: from }] of taken.entries()) {
              let sum = 0
              for (const { atMs, size } of taken.slice(first)) {
                sum += size
                expect(sum).toBeLessThanOrEqual(limit.amount * (1 + (atMs - from) / (window * 1000)) + 1e-6)
              }
            }
          },
        ),
        { numRuns: count(5, 150), seed: 13, endOnFailure: true },
      )
    },
    count(30_000, 300_000),
  )

  it('counts days and months of the calendar, with nothing left over for the next', async () => {
    const month: Limit = { ...tokens(1000), id: 'month', algorithm: 'fixed_window', window: 'month' }
    const day: Limit = { ...requests(3, 0), id: 'day', algorithm: 'fixed_window', window: 'day', burst: undefined }
    const lastDay = Date.UTC(2028, 1, 29)
    const { run, record } = await caller([day, month])
    await backend.redis.pipeline([['HSET', record, { due: String(2 * lastDay) }]])
    for (const remaining of [2, 1, 0]) {
      expect(await run(lastDay + 1000, { tokens: 300 })).toMatchObject({ kind: 'admitted', rates: [{ remaining }, {}] })
    }
    const refused = await run(lastDay + 2000, { tokens: 100 })
    expect(refused).toMatchObject({ kind: 'refused', limit: { id: 'day' }, retryMs: 86_398_000, remaining: 0 })
    const next = await run(lastDay + 86_400_000, { tokens: 1000 })
    expect(next).toMatchObject({
      kind: 'admitted',
      rates: [{ remaining: 2 }, { remaining: 0, resetMs: 31 * 86_400_000 }],
    })
    const full = await run(lastDay + 86_400_000, { tokens: 1 })
    expect(full).toMatchObject({ kind: 'refused', limit: { id: 'month' }, retryMs: 31 * 86_400_000 })
    expect(await run(lastDay + 86_400_000)).toMatchObject({ kind: 'admitted' })
  })

  it('names the limit that is longest in the way, and none that a wait would help where none does', async () => {
    const slow = { ...requests(1, 1), id: 'slow', window: 3600 }
    const { run } = await caller([requests(60, 1), slow, tokens(10)])
    expect(await run(START_MS)).toMatchObject({ kind: 'admitted' })
    expect(await run(START_MS)).toMatchObject({ kind: 'refused', limit: { id: 'slow' }, retryMs: 3_600_000 })
    expect(await run(START_MS, { tokens: 11 })).toMatchObject({ kind: 'refused', limit: { id: 'tokens' } })
  })

  it('refuses nobody for what only monitors, charges it nothing, and counts what it would have refused', async () => {
    const watched: Limit = { ...tokens(100), id: 'watched', mode: 'monitor' }
    const { run, policy } = await caller([
      { ...requests(60, 4), mode: 'monitor' },
      watched,
      { ...tokens(200), id: 'real' },
    ])
    const shadow = async () =>
      (await backend.redis.pipeline([['HGETALL', limitKeys.shadow(policy.orgId, START_MS)]]))[0]
    expect(await run(START_MS, { tokens: 80 })).toMatchObject({ rates: [{}, { remaining: 20 }, { remaining: 120 }] })
    expect(await shadow()).toBeNull()
    for (const left of [90, 60]) {
      expect(await run(START_MS, { tokens: 30 })).toMatchObject({ rates: [{}, { remaining: -1 }, { remaining: left }] })
    }
    expect(await run(START_MS, { tokens: 20 })).toMatchObject({ rates: [{}, { remaining: 0 }, { remaining: 40 }] })
    expect(await run(START_MS, { tokens: 10 })).toMatchObject({ rates: [{ remaining: -1 }, { remaining: -1 }, {}] })
    expect(await run(START_MS, { tokens: 50 })).toMatchObject({ kind: 'refused', limit: { id: 'real' } })
    expect(await shadow()).toEqual({ watched: '3', requests: '1' })
  })

  it(
    'never refuses a client that obeys what its headers say',
    async () => {
      const day: Limit = { ...requests(40, 0), id: 'day', algorithm: 'fixed_window', window: 'day', burst: undefined }
      const hour: Limit = {
        ...requests(13, 0),
        id: 'hour',
        algorithm: 'sliding_window',
        window: 3600,
        burst: undefined,
      }
      const { run, policy, record } = await caller([
        requests(30, 3),
        { ...requests(30, 3), id: 'same' },
        hour,
        day,
        tokens(500),
      ])
      await backend.redis.pipeline([['HSET', record, { due: String(2 * START_MS) }]])
      let nowMs = START_MS
      let left = 1
      let tokensLeft = 500
      let [resetMs, tokensResetMs] = [0, 0]
      for (let call = 0; call < count(120, 10_000); call++) {
        const size = 1 + ((call * 7919) % 300)
        if (left === 0) nowMs += resetMs
        if (size > tokensLeft) nowMs += Math.max(0, tokensResetMs - (left === 0 ? resetMs : 0))
        const reply = await run(nowMs, { tokens: size })
        if (reply.kind !== 'admitted') throw new Error(`call ${call} was refused: ${JSON.stringify(reply)}`)
        const [state, tokenState] = [
          rateOf(policy.limits, reply.rates, 'requests'),
          rateOf(policy.limits, reply.rates, 'tokens'),
        ]
        left = state?.remaining ?? 0
        resetMs = (state?.resetSeconds ?? 0) * 1000
        tokensLeft = tokenState?.remaining ?? 0
        tokensResetMs = (tokenState?.resetSeconds ?? 0) * 1000
        nowMs += (call * 104_729) % 9000
      }
    },
    count(30_000, 300_000),
  )

  it('starts with a full bucket at most when a limit is changed, and takes nobody’s clock back', async () => {
    const { record, policy, run } = await caller([{ ...requests(1, 1), window: 86_400 }])
    expect(await run(START_MS)).toMatchObject({ kind: 'admitted' })
    const faster = { ...policy, limits: [requests(60, 2)] }
    const ask = { tokens: 0, candidates: [] }
    const again = async (nowMs: number) => {
      const { keys, args } = scriptInput({ record, policy: faster, ask, hold: undefined, nowMs })
      return readReply(await backend.redis.run(admissionScript, keys, args), faster, ask)
    }
    expect(await again(START_MS)).toMatchObject({ kind: 'refused', retryMs: 1000 })
    expect(await again(START_MS + 1000)).toMatchObject({ kind: 'admitted' })
    // Another isolate, whose clock is behind.
    expect(await again(START_MS)).toMatchObject({ kind: 'refused', retryMs: 2000 })
    expect(await again(START_MS + 2000)).toMatchObject({ kind: 'admitted' })
  })
})

import { describe, expect, it } from 'vitest'
import type { AdmissionRequest } from '../../../src/core/admission.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import type { HoldAnswer, HoldRequest } from '../../../src/core/ledger.ts'
import { askForHold, requireHeld } from '../../../src/features/admission/holding.ts'
import { fakeDeps, fakePolicy } from '../../support/fake-deps.ts'
import { noCredit } from '../../support/no-credit.ts'
import { factsOf } from '../ledger/calls.ts'

const hold: HoldRequest = {
  facts: factsOf('req_1'),
  amountNanoUsd: 0,
  deadlineMs: 1,
  budgets: [],
  places: [{ target: 'a/m', limits: [{ id: 'lim_a', amount: 1 }] }],
  priority: 'normal',
}

/** A caller whose hold is answered when the test says so, or when it is released. */
function waiting() {
  const answer = Promise.withResolvers<HoldAnswer>()
  const released: [string, boolean | undefined][] = []
  const deferred: Promise<unknown>[] = []
  const leaver = new AbortController()
  const refuse = () => Promise.reject(new Error('not asked'))
  const deps = fakeDeps({
    ledgerOf: () => ({
      ...noCredit,
      hold: () => answer.promise,
      release: async (id, isLast) => {
        released.push([id, isLast])
        answer.reject(new DependencyError('ledger', new Error('withdrawn')))
      },
      extend: refuse,
      settle: refuse,
      spend: refuse,
      settledOn: refuse,
      forgetRun: refuse,
    }),
  })
  const request: AdmissionRequest = {
    requestId: 'req_1',
    credential: undefined,
    ip: '',
    path: '',
    scope: '',
    signal: leaver.signal,
    defer: (work) => void deferred.push(work),
  }
  return { deps, request, answer, released, leaver, settled: () => Promise.all(deferred) }
}

describe('a call that waits for a place', () => {
  it('is answered when it has one, and withdrawn by nothing after that', async () => {
    const { deps, request, answer, released, leaver, settled } = waiting()
    const asking = askForHold({ deps, request, mayWait: async () => true }, hold)
    answer.resolve({ ok: true, place: 'a/m' })
    expect(await asking).toEqual({ ok: true, place: 'a/m' })
    leaver.abort()
    await settled()
    expect(released).toEqual([])
  })

  it('waits no more once its caller has left, not even one who left before', async () => {
    for (const early of [false, true]) {
      const { deps, request, released, leaver, settled } = waiting()
      if (early) leaver.abort()
      const asking = expect(askForHold({ deps, request }, hold)).rejects.toThrow(DependencyError)
      leaver.abort()
      await asking
      await settled()
      expect(released).toEqual([['req_1', true]])
    }
  })

  it('waits no more where Redis does not admit it, and may hold again', async () => {
    const { deps, request, released } = waiting()
    await expect(askForHold({ deps, request, mayWait: async () => false }, hold)).rejects.toThrow(DependencyError)
    expect(released).toEqual([['req_1', undefined]])
  })

  it('is told 503 and when to come back, with the limit that was full', () => {
    const refused = { status: 'fulfilled', value: { ok: false, limitId: 'lim_a', retryAfterMs: 4200 } } as const
    const asked = { tokens: 0, candidates: [] }
    expect(() => requireHeld({ policy: fakePolicy(), hold, asked, nowMs: 0 }, refused)).toThrowError(
      expect.objectContaining({ code: 'model_overloaded', retryAfterSeconds: 5, details: { limit_id: 'lim_a' } }),
    )
  })
})

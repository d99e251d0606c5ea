import { afterEach, expect, it, vi } from 'vitest'
import { createLedgers, type LedgerObject } from '../../src/adapters/ledger.ts'
import { DependencyError } from '../../src/core/errors.ts'
import { settledCallOf } from '../../src/features/ledger/settled-call.ts'
import { holdOf, settlementOf } from '../features/ledger/calls.ts'

afterEach(() => {
  vi.useRealTimers()
})

const object = (given: Partial<LedgerObject>): LedgerObject => ({
  hold: async () => ({ ok: true }),
  extend: async () => ({ ok: true }),
  release: async () => undefined,
  settle: async (calls) => calls.map(() => true),
  spend: async () => [],
  settledOn: async () => undefined,
  forgetRun: async () => undefined,
  ...given,
})

it('reaches the object that bears the name of the organisation, with what it was given', async () => {
  const asked: unknown[] = []
  const ledgerOf = createLedgers(
    {
      getByName: (name) =>
        object({
          hold: async (request) => {
            asked.push(name, request)
            return { ok: false, budgetId: 'b', remainingNanoUsd: 3 }
          },
        }),
    },
    Date.now,
  )
  const request = holdOf('r', { budgets: [], amountNanoUsd: 1 })
  expect(await ledgerOf('org_7').hold(request)).toEqual({ ok: false, budgetId: 'b', remainingNanoUsd: 3 })
  expect(asked).toEqual(['org_7', JSON.stringify(request)])
  expect(await ledgerOf('org_7').settle([settledCallOf(settlementOf('r', 1))])).toEqual([true])
  expect(await ledgerOf('org_7').release('r')).toBeUndefined()
  expect(await ledgerOf('org_7').extend({ requestId: 'r', amountNanoUsd: 1, budgets: [] })).toEqual({ ok: true })
})

it('is away when the object throws, or cannot even be named', async () => {
  const throwing = createLedgers(
    {
      getByName: () => object({ hold: () => Promise.reject(new TypeError('overloaded')) }),
    },
    Date.now,
  )
  await expect(throwing('org_1').hold(holdOf('r', { budgets: [], amountNanoUsd: 1 }))).rejects.toThrow(DependencyError)
  const unbound = createLedgers(
    {
      getByName: () => {
        throw new Error('no such namespace')
      },
    },
    Date.now,
  )
  await expect(unbound('org_1').release('r')).rejects.toThrow(DependencyError)
})

it('is away when the object stays silent', async () => {
  vi.useFakeTimers()
  const ledgerOf = createLedgers({ getByName: () => object({ settle: () => new Promise(() => undefined) }) }, Date.now)
  const answer = expect(ledgerOf('org_1').settle([settledCallOf(settlementOf('r', 1))])).rejects.toThrow(
    DependencyError,
  )
  await vi.advanceTimersByTimeAsync(3000)
  await answer
})

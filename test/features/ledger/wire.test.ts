import { expect, it } from 'vitest'
import { settledCallOf } from '../../../src/features/ledger/settled-call.ts'
import { holdRequestOf, settledCallsOf } from '../../../src/features/ledger/wire.ts'
import { budgetOf, holdOf, settlementOf } from './calls.ts'

const budgets = [budgetOf(1000)]

it('takes what a gateway of this release sends, and of the one before', () => {
  const hold = holdOf('a', { budgets, amountNanoUsd: 600 })
  expect(holdRequestOf(JSON.stringify(hold))).toEqual(hold)
  expect(holdRequestOf(hold)).toEqual(hold)

  const settlement = settlementOf('a', 20, budgets)
  expect(settledCallsOf([settledCallOf(settlement)])).toEqual([settledCallOf(settlement)])
  expect(settledCallsOf(settlement)).toEqual([settledCallOf(settlement)])
})

import { expect, it } from 'vitest'
import { CreateBudget } from '../../../src/features/budgets/schema.ts'

const faultsOf = (limit_usd: number) =>
  CreateBudget.safeParse({ subject_kind: 'org', window: 'day', limit_usd }).error?.issues.map(({ message }) => message)

it.each([9_000_000, -1])('tells of a limit out of range (%d) no second fault that it does not have', (limitUsd) => {
  expect(faultsOf(limitUsd)).toHaveLength(1)
})

it('tells of a tenth decimal, and takes nine', () => {
  expect(faultsOf(0.000_000_000_1)).toEqual(['has more than nine decimals'])
  expect(faultsOf(0.000_000_001)).toBeUndefined()
})

import { expect, it } from 'vitest'
import { normalUsage } from '../../src/adapters/providers/usage.ts'
import { countsOf } from '../../src/core/usage.ts'

it.each([1e30, Number.POSITIVE_INFINITY, Number.NaN, -1, '7', null])(
  'does not take %s for a count of tokens',
  (absurd) => {
    const usage = { prompt_tokens: absurd, completion_tokens: 2, total_tokens: 2 } as never
    expect(countsOf(usage)).toMatchObject({ prompt: 0, completion: 2 })
  },
)

it('takes a usage beyond all reason for none', () => {
  expect(normalUsage({ prompt_tokens: 1e30, completion_tokens: 2 })).toBeUndefined()
})

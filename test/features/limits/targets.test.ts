import { describe, expect, it } from 'vitest'
import { familyOf, isOnTarget } from '../../../src/features/limits/targets.ts'

describe('the family of a target', () => {
  it.each([
    ['openai/gpt-4o', 'openai/gpt-4o'],
    ['openai/gpt-4o-2024-08-06', 'openai/gpt-4o'],
    ['openai/brand-new', 'openai/brand-new'],
    ['ollama/llama3.2:3b', 'ollama/llama3.2:3b'],
    // An account of any name, with whichever vendor.
    ['mine/gpt-4o-2024-08-06', 'mine/gpt-4o'],
    ['mine/brand-new', 'mine/brand-new'],
    ['brand-new', 'brand-new'],
  ])('of %s is %s', (id, family) => {
    expect(familyOf(id)).toBe(family)
  })

  it('is what a limit of a model binds, and no other provider’s', () => {
    const limit = { target: 'mine/gpt-4o' }
    expect(isOnTarget(limit, 'mine/gpt-4o-2024-08-06')).toBe(true)
    expect(isOnTarget(limit, 'openai/gpt-4o')).toBe(false)
    expect(isOnTarget({ target: 'mine' }, 'mine/anything')).toBe(true)
    expect(isOnTarget({ target: 'mine' }, 'mine-too/anything')).toBe(false)
  })
})

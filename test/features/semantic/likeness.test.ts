import { afterEach, describe, expect, it, vi } from 'vitest'
import { likenessOf, standardOf } from '../../../src/features/semantic/likeness.ts'

afterEach(() => vi.restoreAllMocks())

describe('how alike two texts are', () => {
  it('is found without putting thousands of marks upon one letter in order', () => {
    const standard = standardOf('A text that others are compared with.', 'a')
    const content = `a${'\u0301\u0316'.repeat(5000)}`
    const normalize = vi.spyOn(String.prototype, 'normalize')
    expect(likenessOf(standard, { content, sha256: 'b', cosine: undefined }, 0.85)).toBeUndefined()
    expect(normalize).toHaveBeenCalled()
    for (const text of normalize.mock.contexts) expect(String(text)).not.toMatch(/\p{M}{31}/u)
  })
})

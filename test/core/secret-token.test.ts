import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { hashSecretToken, newSecretToken } from '../../src/core/secret-token.ts'

describe('a secret token', () => {
  it('has its prefix and 43 characters that need no escaping anywhere', () => {
    expect(newSecretToken('hxr')).toMatch(/^hxr_[\w-]{43}$/)
  })

  it('is never the same', () => {
    const tokens = Array.from({ length: 1000 }, () => newSecretToken('hxt'))
    expect(new Set(tokens).size).toBe(1000)
  })

  it('is kept as its SHA-256', async () => {
    const token = newSecretToken('hxi')
    expect(await hashSecretToken(token)).toBe(createHash('sha256').update(token).digest('hex'))
  })
})

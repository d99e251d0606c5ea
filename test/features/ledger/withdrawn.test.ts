import { describe, expect, it } from 'vitest'
import { createWithdrawn } from '../../../src/features/ledger/withdrawn.ts'

describe('calls that were given up', () => {
  it('are forgotten when nothing can be on its way for them any more', () => {
    let nowMs = 0
    const withdrawn = createWithdrawn(() => nowMs)
    withdrawn.add('a')
    nowMs = 599_999
    withdrawn.add('b')
    expect([withdrawn.has('a'), withdrawn.has('b')]).toEqual([true, true])
    nowMs = 600_000
    withdrawn.add('c')
    expect([withdrawn.has('a'), withdrawn.has('b'), withdrawn.has('c')]).toEqual([false, true, true])
  })

  it('take no more than so much memory, however many callers are refused', () => {
    const withdrawn = createWithdrawn(() => 0)
    for (let at = 0; at < 30_000; at++) withdrawn.add(`req_${at}`)
    expect(withdrawn.has('req_9999')).toBe(false)
    expect(withdrawn.has('req_10000')).toBe(true)
    expect(withdrawn.has('req_29999')).toBe(true)
  })
})

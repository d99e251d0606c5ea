import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Limit } from '../../../src/core/admission.ts'
import { createLocalLimit } from '../../../src/features/admission/local-limit.ts'

const limit = (perMinute: number, burst: number, id = 'a'): Limit => ({
  id,
  subject: 'key',
  metric: 'requests',
  algorithm: 'token_bucket',
  window: 60,
  amount: perMinute,
  burst,
  mode: 'enforce',
})

describe('an isolate without Redis', () => {
  it('lets a tenth of each limit through, and one request at least', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6000 }),
        fc.integer({ min: 1, max: 500 }),
        fc.array(fc.integer({ min: 0, max: 5000 }), { minLength: 1, maxLength: 60 }),
        (perMinute, burst, gaps) => {
          const take = createLocalLimit()
          let nowMs = 1_000_000
          let admitted = 0
          for (const gap of gaps) {
            nowMs += gap
            if (take([limit(perMinute, burst)], nowMs) === 0) admitted += 1
          }
          const elapsedMinutes = (nowMs - 1_000_000) / 60_000
          expect(admitted).toBeGreaterThanOrEqual(1)
          expect(admitted).toBeLessThanOrEqual(Math.max(1, burst / 10) + (elapsedMinutes * perMinute) / 10 + 0.001)
        },
      ),
    )
  })

  it('says truly when the next may come', () => {
    const take = createLocalLimit()
    expect(take([limit(60, 10)], 0)).toBe(0)
    expect(take([limit(60, 10)], 0)).toBe(10_000)
    expect(take([limit(60, 10)], 9999)).toBe(1)
    expect(take([limit(60, 10)], 10_000)).toBe(0)
  })

  it('charges no limit when one of them refuses, and leaves tokens alone', () => {
    const take = createLocalLimit()
    const [tight, wide] = [limit(10, 10, 'tight'), limit(600, 20, 'wide')]
    expect(take([tight, wide], 0)).toBe(0)
    for (let at = 0; at < 5; at++) expect(take([wide, tight], 0)).toBeGreaterThan(0)
    expect(take([wide], 0)).toBe(0)
    expect(take([{ ...tight, metric: 'tokens', algorithm: 'sliding_window', id: 'tokens' }], 0)).toBe(0)
    for (let at = 0; at < 5; at++) expect(take([{ ...tight, mode: 'monitor' }], 0)).toBe(0)
  })
})

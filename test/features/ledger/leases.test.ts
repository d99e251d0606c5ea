import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLeases } from '../../../src/features/ledger/leases.ts'

describe('places under limits of concurrency', () => {
  it('are never more than each limit has, and all come back', () => {
    const call = fc.record({ key: fc.integer({ min: 0, max: 2 }), ends: fc.boolean() })
    fc.assert(
      fc.property(fc.array(call, { maxLength: 80 }), fc.integer({ min: 1, max: 4 }), (calls, amount) => {
        const leases = createLeases()
        const running: { id: string; amount: number }[][] = []
        for (const { key, ends } of calls) {
          const limits = [
            { id: 'org', amount: 6 },
            { id: `key_${key}`, amount },
          ]
          const count = (id: string) => running.filter((one) => one.some((limit) => limit.id === id)).length
          const full = limits.find((limit) => count(limit.id) >= limit.amount)
          expect(leases.fullOf(limits)).toEqual(full)
          if (!full) {
            leases.take(limits)
            running.push(limits)
          }
          const over = ends ? running.shift() : undefined
          if (over) leases.giveBack(over)
        }
        for (const limits of running.splice(0)) leases.giveBack(limits)
        expect(leases.fullOf([{ id: 'org', amount: 1 }])).toBeUndefined()
      }),
    )
  })

  it('that a limit had before it was lowered stay taken, and one more is refused', () => {
    const leases = createLeases()
    for (let at = 0; at < 3; at++) leases.take([{ id: 'a', amount: 3 }])
    expect(leases.fullOf([{ id: 'a', amount: 1 }])).toEqual({ id: 'a', amount: 1 })
    leases.giveBack([{ id: 'a', amount: 3 }])
    expect(leases.fullOf([{ id: 'a', amount: 3 }])).toBeUndefined()
  })
})

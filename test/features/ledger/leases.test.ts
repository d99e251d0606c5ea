import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { HoldRequest } from '../../../src/core/ledger.ts'
import { createLeases } from '../../../src/features/ledger/leases.ts'

type Wish = Pick<HoldRequest, 'concurrency' | 'places'>

/** Leases of which every call takes what it finds. */
function leasesOf() {
  const leases = createLeases()
  const enter = (id: string, wish: Wish) => {
    const seat = leases.find(wish)
    if (!seat.ok) return seat
    leases.take(id, seat)
    return { ok: true as const, ...seat.told }
  }
  return { ...leases, enter }
}

const busy = (id: string, amount: number) => ({ concurrency: [{ id, amount }] })
const place = (target: string, amount: number) => ({ target, limits: [{ id: target, amount }] })
const free = (target: string) => ({ target, limits: [] })

describe('places under limits of concurrency', () => {
  it('are never more than each limit has, and all come back', () => {
    const call = fc.record({ key: fc.integer({ min: 0, max: 2 }), ends: fc.boolean() })
    fc.assert(
      fc.property(fc.array(call, { maxLength: 80 }), fc.integer({ min: 1, max: 4 }), (calls, amount) => {
        const leases = leasesOf()
        const running: { name: string; limits: { id: string; amount: number }[] }[] = []
        for (const [at, { key, ends }] of calls.entries()) {
          const limits = [
            { id: 'org', amount: 6 },
            { id: `key_${key}`, amount },
          ]
          const count = (id: string) => running.filter((one) => one.limits.some((limit) => limit.id === id)).length
          const full = limits.find((limit) => count(limit.id) >= limit.amount)
          const name = `req_${at}`
          expect(leases.enter(name, { concurrency: limits })).toEqual(
            full ? { ok: false, limitId: full.id } : { ok: true },
          )
          if (!full) running.push({ name, limits })
          const over = ends ? running.shift() : undefined
          if (over) leases.giveBack(over.name)
        }
        for (const { name } of running.splice(0)) leases.giveBack(name)
        expect(leases.enter('last', busy('org', 1))).toEqual({ ok: true })
      }),
    )
  })

  it('that a limit had before it was lowered stay taken, and one more is refused', () => {
    const leases = leasesOf()
    for (const name of ['one', 'two', 'three']) leases.enter(name, busy('a', 3))
    expect(leases.enter('four', busy('a', 1))).toEqual({ ok: false, limitId: 'a' })
    leases.giveBack('one')
    leases.giveBack('one')
    leases.giveBack('nobody')
    expect(leases.enter('four', busy('a', 3))).toEqual({ ok: true })
    expect(leases.enter('five', busy('a', 3))).toEqual({ ok: false, limitId: 'a' })
  })
})

describe('a limit of concurrency that only monitors', () => {
  it('refuses nobody, and counts whom it would have refused and nobody else', () => {
    const leases = leasesOf()
    const wish: Wish = { concurrency: [{ id: 'm', amount: 2, monitors: true }] }
    for (const name of ['one', 'two', 'three', 'four']) expect(leases.enter(name, wish)).toEqual({ ok: true })
    expect(leases.takeShadows()).toEqual(new Map([['m', 2]]))
    expect(leases.takeShadows().size).toBe(0)
    // Those who would have been refused have no place to give back.
    leases.giveBack('three')
    leases.enter('five', wish)
    expect(leases.takeShadows()).toEqual(new Map([['m', 1]]))
    leases.giveBack('one')
    leases.enter('six', wish)
    expect(leases.takeShadows().size).toBe(0)
  })

  it('does not count a call that something else refuses', () => {
    const leases = leasesOf()
    leases.enter('one', {
      concurrency: [
        { id: 'm', amount: 1, monitors: true },
        { id: 'a', amount: 1 },
      ],
    })
    const refused = leases.enter('two', {
      concurrency: [
        { id: 'm', amount: 1, monitors: true },
        { id: 'a', amount: 1 },
      ],
    })
    expect(refused).toEqual({ ok: false, limitId: 'a' })
    expect(leases.takeShadows().size).toBe(0)
  })
})

describe('places at targets', () => {
  it('are taken at the first that has one, and those that have none are told', () => {
    const leases = leasesOf()
    const places = [place('a', 1), place('b', 1), free('c')]
    expect(leases.enter('one', { places })).toEqual({ ok: true, place: 'a' })
    expect(leases.enter('two', { places })).toEqual({ ok: true, place: 'b', full: [{ target: 'a', limitId: 'a' }] })
    expect(leases.enter('three', { places })).toMatchObject({ place: 'c', full: [{ target: 'a' }, { target: 'b' }] })
    expect(leases.enter('four', { places: places.slice(0, 2) })).toEqual({ ok: false, fullLimitId: 'a' })
    leases.giveBack('two')
    expect(leases.enter('five', { places })).toMatchObject({ place: 'b' })
  })

  it('are taken, or refused, also by a call that was first seated at a target without limits', () => {
    const leases = leasesOf()
    leases.enter('one', { places: [free('a'), place('b', 2)] })
    leases.enter('two', { places: [free('a'), place('b', 2)] })
    expect(leases.move('one', [place('b', 2)])).toEqual({ ok: true, place: 'b' })
    leases.enter('three', { places: [place('b', 2)] })
    expect(leases.move('two', [place('b', 2)])).toEqual({ ok: false, fullLimitId: 'b' })
    leases.giveBack('one')
    expect(leases.move('two', [place('b', 2)])).toEqual({ ok: true, place: 'b' })
    for (const name of ['two', 'three']) leases.giveBack(name)
    expect(leases.enter('four', { places: [place('b', 1)] })).toEqual({ ok: true, place: 'b' })
  })

  it('can be exchanged for one at another target, or kept where that has none', () => {
    const leases = leasesOf()
    leases.enter('one', { places: [place('a', 1), place('b', 1)] })
    expect(leases.move('one', [place('b', 1)])).toEqual({ ok: true, place: 'b' })
    expect(leases.enter('two', { places: [place('a', 1)] })).toEqual({ ok: true, place: 'a' })
    expect(leases.move('one', [place('a', 1)])).toEqual({ ok: false, fullLimitId: 'a' })
    expect(leases.enter('three', { places: [place('b', 1)] })).toEqual({ ok: false, fullLimitId: 'b' })
    leases.giveBack('one')
    expect(leases.enter('three', { places: [place('b', 1)] })).toEqual({ ok: true, place: 'b' })
  })

  it('are never more than their limits have, whoever comes, moves and leaves', () => {
    const limits = { a: 2, b: 1, c: 3 } as const
    const targets = fc.shuffledSubarray(['a', 'b', 'c'] as const, { minLength: 1 })
    const step = fc.record({ act: fc.constantFrom('enter', 'move', 'leave'), who: fc.nat(7), targets })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const leases = leasesOf()
        const at = new Map<string, string>()
        const count = (target: string) => [...at.values()].filter((one) => one === target).length
        for (const { act, who, targets: wanted } of steps) {
          const name = `req_${who}`
          const places = wanted.map((target) => place(target, limits[target]))
          if (act === 'leave') {
            leases.giveBack(name)
            at.delete(name)
            continue
          }
          if ((act === 'enter') === at.has(name)) continue
          const before = at.get(name)
          at.delete(name)
          const expected = wanted.find((target) => count(target) < limits[target])
          const answer = act === 'enter' ? leases.enter(name, { places }) : leases.move(name, places)
          if (expected === undefined) {
            expect(answer.ok).toBe(false)
            if (before !== undefined) at.set(name, before)
          } else {
            expect(answer).toMatchObject({ ok: true, place: expected })
            at.set(name, expected)
          }
        }
      }),
    )
  })
})

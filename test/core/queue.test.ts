import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createQueue, LONGEST_WAIT_MS, type Waiting } from '../../src/core/queue.ts'
import { type Priority, priorities } from '../../src/core/routing.ts'
import { count } from '../support/lane.ts'

const levels = { low: 1, normal: 2, high: 3, critical: 4 }
const START = 1_700_000_000_000

function queueOf(most?: number) {
  const queue = createQueue<string>(most === undefined ? {} : { most })
  const clock = { nowMs: START }
  const offer = (id: string, priority: Priority = 'normal', given: Partial<Waiting<string>> = {}) =>
    queue.offer({ id, line: 'line', priority, untilMs: clock.nowMs + LONGEST_WAIT_MS, item: id, ...given }, clock.nowMs)
  const serve = (places: number, isMine: (id: string) => boolean = () => true): string[] => {
    const served: string[] = []
    queue.serve((id) => {
      if (served.length >= places || !isMine(id)) return false
      served.push(id)
      return true
    }, clock.nowMs)
    return served
  }
  const pass = (ms: number) => {
    clock.nowMs += ms
  }
  return { queue, offer, serve, pass, clock }
}

describe('the order in which those are served who wait', () => {
  it('is by priority, and among equals by arrival', () => {
    const { offer, serve } = queueOf()
    const arrivals = ['normal', 'low', 'critical', 'normal', 'high', 'low', 'critical'] as const
    arrivals.forEach((priority, at) => {
      expect(offer(`${priority}${at}`, priority)).toEqual({ ok: true })
    })
    expect(serve(3)).toEqual(['critical2', 'critical6', 'high4'])
    expect(serve(9)).toEqual(['normal0', 'normal3', 'low1', 'low5'])
    expect(serve(9)).toEqual([])
  })

  it('rises by a level for every ten seconds of waiting', () => {
    const { offer, serve, pass } = queueOf()
    offer('old', 'low', { untilMs: START + 60_000 })
    pass(9_999)
    offer('early', 'normal')
    pass(2)
    offer('late', 'normal')
    expect(serve(3)).toEqual(['early', 'old', 'late'])
  })

  it('is that of a plain model, whoever comes, is served, gives up or has waited for too long', () => {
    const step = fc.record({
      act: fc.constantFrom('offer', 'offer', 'serve', 'withdraw', 'expire'),
      priority: fc.constantFrom(...priorities),
      line: fc.constantFrom('a', 'b'),
      ms: fc.integer({ min: 0, max: 6_000 }),
      number: fc.nat(5),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const { queue, offer, serve, pass, clock } = queueOf(8)
        let model: { id: string; priority: Priority; line: string; atMs: number }[] = []
        const most = { low: 4, normal: 6, high: 7.2, critical: 8 }
        const urgency = ({ priority, atMs }: (typeof model)[number]) => levels[priority] * 10_000 + clock.nowMs - atMs
        const ordered = () => model.toSorted((one, other) => urgency(other) - urgency(one))
        for (const [at, { act, priority, line, ms, number }] of steps.entries()) {
          pass(ms)
          const isOver = ({ atMs }: { atMs: number }) => atMs + LONGEST_WAIT_MS <= clock.nowMs
          if (act === 'offer') {
            const before = model.filter((one) => one.line === line).length
            const answer = offer(`${at}`, priority, { line })
            if (before >= most[priority]) expect(answer.ok).toBe(false)
            if (before === 0) expect(answer).toEqual({ ok: true })
            if (answer.ok) model.push({ id: `${at}`, priority, line, atMs: clock.nowMs })
            else expect(answer.retryAfterMs).toBeGreaterThanOrEqual(1000)
          } else if (act === 'serve') {
            const due = ordered().filter((one) => one.line === line && !isOver(one))
            const expected = due.slice(0, number).map(({ id }) => id)
            const ofLine = new Set(due.map(({ id }) => id))
            expect(serve(number, (id) => ofLine.has(id))).toEqual(expected)
            model = model.filter(({ id }) => !expected.includes(id))
          } else if (act === 'withdraw') {
            const id = model[number]?.id ?? 'nobody'
            expect(queue.withdraw(id)).toBe(id === 'nobody' ? undefined : id)
            model = model.filter((one) => one.id !== id)
          } else {
            const over = queue.expire(clock.nowMs).map(({ item }) => item)
            expect(over.toSorted()).toEqual(
              model
                .filter(isOver)
                .map(({ id }) => id)
                .toSorted(),
            )
            model = model.filter((one) => !isOver(one))
          }
          expect(queue.size()).toBe(model.length)
          const first = Math.min(...model.map(({ atMs }) => atMs + LONGEST_WAIT_MS))
          expect(queue.nextExpiryMs()).toBe(model.length === 0 ? undefined : first)
        }
      }),
      { seed: 6, numRuns: count(200, 5_000) },
    )
  })

  it('starves nobody: who waits is served before those of any priority that come thirty seconds later', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...priorities), { minLength: 1, maxLength: 40 }), (crowd) => {
        const { offer, serve, pass } = queueOf()
        const untilMs = START + 120_000
        offer('patient', 'low', { untilMs })
        pass(30_001)
        for (const [at, priority] of crowd.entries()) offer(`${at}`, priority, { untilMs })
        expect(serve(1)).toEqual(['patient'])
      }),
      { seed: 6, numRuns: count(50, 1_000) },
    )
  })
})

describe('a line that fills', () => {
  it('refuses low from a half on, normal from three quarters, high from nine tenths, and at last critical', () => {
    const { offer } = queueOf()
    const letIn = { low: 0, normal: 0, high: 0, critical: 0 }
    for (const priority of priorities) {
      while (offer(`${priority}${letIn[priority]}`, priority).ok) letIn[priority] += 1
    }
    expect(letIn).toEqual({ low: 50, normal: 25, high: 15, critical: 10 })
  })

  it('says when to come back by how fast it moves', () => {
    const { offer, serve, pass } = queueOf(10)
    for (let at = 0; at < 10; at++) offer(`${at}`, 'critical')
    expect(offer('early', 'critical')).toEqual({ ok: false, retryAfterMs: 1000 })
    for (let at = 10; at < 40; at++) {
      pass(500)
      expect(serve(1)).toHaveLength(1)
      expect(offer(`${at}`, 'critical')).toEqual({ ok: true })
    }
    expect(offer('late', 'critical')).toEqual({ ok: false, retryAfterMs: 5000 })
  })

  it('refuses at once whom it could not serve in their time, and lets in whom it could', () => {
    const { offer, serve, pass, clock } = queueOf()
    for (let at = 0; at < 20; at++) offer(`${at}`)
    for (let at = 0; at < 10; at++) {
      pass(1000)
      serve(1)
    }
    // Ten wait, and each takes a second.
    expect(offer('hurried', 'normal', { untilMs: clock.nowMs + 8_000 })).toEqual({ ok: false, retryAfterMs: 10_000 })
    expect(offer('urgent', 'critical', { untilMs: clock.nowMs + 8_000 })).toEqual({ ok: true })
    expect(offer('patient', 'normal', { untilMs: clock.nowMs + 25_000 })).toEqual({ ok: true })
  })

  it('refuses at once whom others would overtake until their time is over, as long as others do', () => {
    const { offer, serve, pass, clock } = queueOf()
    for (let at = 0; at < 3; at++) offer(`${at}`)
    const round = (at: number, comes: Priority) => {
      pass(1000)
      offer(`${comes}${at}`, comes)
      serve(1)
    }
    for (let at = 0; at < 30; at++) round(at, 'critical')
    // Three wait, and each takes a second; but in every second somebody comes who goes first.
    const soon = () => ({ untilMs: clock.nowMs + 9_000 })
    expect(offer('normal', 'normal', soon()).ok).toBe(false)
    expect(offer('critical', 'critical', soon())).toEqual({ ok: true })
    serve(9)
    pass(6_000)
    expect(offer('first', 'normal', soon())).toEqual({ ok: true })
    expect(offer('second', 'normal', soon())).toEqual({ ok: true })
    for (let at = 30; at < 130; at++) round(at, 'normal')
    expect(offer('another', 'normal', soon())).toEqual({ ok: true })
  })

  it('still reckons with the urgent ones after it was empty for a moment, and no more after it was for long', () => {
    for (const [pausedMs, ok] of [
      [1_000, false],
      [10_000, true],
    ] as const) {
      const { offer, serve, pass, clock } = queueOf()
      offer('first')
      for (let at = 0; at < 30; at++) {
        offer(`${at}`, 'critical')
        pass(1000)
        serve(1)
      }
      serve(9)
      pass(pausedMs)
      for (const id of ['a', 'b']) offer(id)
      expect(offer('c', 'normal', { untilMs: clock.nowMs + 9_000 }).ok).toBe(ok)
    }
  })

  it('that has stalled is slow, but lets the first one wait again and forgets how it moved', () => {
    const { queue, offer, serve, pass, clock } = queueOf()
    for (let at = 0; at < 6; at++) offer(`${at}`)
    for (let at = 0; at < 5; at++) {
      pass(10)
      serve(1)
    }
    pass(25_000)
    const soon = () => clock.nowMs + 4_000
    expect(offer('second', 'normal', { untilMs: soon() }).ok).toBe(false)
    pass(5_000)
    expect(queue.expire(clock.nowMs)).toHaveLength(1)
    expect(offer('first', 'normal', { untilMs: soon() })).toEqual({ ok: true })
    queue.withdraw('first')
    pass(61_000)
    for (const id of ['a', 'b', 'c']) expect(offer(id, 'normal', { untilMs: soon() })).toEqual({ ok: true })
  })

  it('is no concern of another line', () => {
    const { offer } = queueOf(4)
    for (let at = 0; at < 4; at++) offer(`${at}`, 'critical')
    expect(offer('5', 'critical').ok).toBe(false)
    expect(offer('6', 'low', { line: 'other' })).toEqual({ ok: true })
  })

  it('serves nobody whose time is over, and lets nobody in who has none', () => {
    const { queue, offer, serve, pass, clock } = queueOf()
    offer('a', 'normal', { untilMs: START + 1000 })
    expect(offer('b', 'critical', { untilMs: START })).toEqual({ ok: false, retryAfterMs: 1000 })
    pass(1000)
    expect(serve(5)).toEqual([])
    expect(queue.expire(clock.nowMs)).toEqual([{ item: 'a', retryAfterMs: 1000 }])
    expect(queue.size()).toBe(0)
  })
})

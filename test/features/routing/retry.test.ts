import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UpstreamError, type UpstreamFault } from '../../../src/core/models.ts'
import {
  afterFailure,
  isOperatorsFault,
  type RetryRule,
  retryTable,
  ruleFor,
} from '../../../src/features/routing/retry.ts'

const once = { number: 1, repeatable: false, hurried: false, random: 0.5 }
const fault = (name: UpstreamFault) => new UpstreamError(name, 'failed')
const status = (code: number, retryAfterMs?: number) =>
  new UpstreamError('status', 'failed', { status: code, retryAfterMs })

const faults: UpstreamFault[] = ['connect', 'timeout', 'garbage', 'cut', 'reported', 'aborted', 'overloaded']

type Row = [situation: string, error: UpstreamError, same: boolean, other: boolean, counts: boolean]

const said = (code: number, message: string) =>
  new UpstreamError('status', 'failed', { status: code, vendor: { message } })
const refused = (message: string) => new UpstreamError('status', 'failed', { status: 403, vendor: { message } })

/** May the same target be asked again, may another one, and does it say something about the target's health. */
const generations: Row[] = [
  ['nothing was sent', fault('connect'), true, true, true],
  ['it was sent and nothing came in time', fault('timeout'), false, false, true],
  ['a 2xx was not an answer', fault('garbage'), false, true, true],
  ['the head came, then a cut', fault('cut'), false, true, true],
  ['an error inside a 2xx', fault('reported'), false, true, true],
  ['we or the caller ended it', fault('aborted'), false, false, false],
  ['status 524, silence behind Cloudflare', status(524), false, false, true],
  ['a node that is out of memory', said(500, 'CUDA error: out of memory'), false, true, true],
  ['a node that lacks the model', said(404, 'model "m" not found, try pulling it first'), false, true, false],
  ...[408, 500, 502, 503, 504, 520, 522, 529, 530].map(
    (code): Row => [`status ${code}`, status(code), true, true, true],
  ),
  ...[400, 404, 405, 409, 413, 415, 422, 451].map((code): Row => [`status ${code}`, status(code), false, false, false]),
  ...[401, 402, 403].map((code): Row => [`status ${code}, our credential`, status(code), false, true, true]),
  ['status 403, our input', refused('Your input was flagged'), false, true, false],
  ['status 403, our model', refused('No access to model m'), false, true, false],
  ...[301, 302, 307].map((code): Row => [`status ${code}, a redirect`, status(code), false, true, true]),
  ['429 without a time', status(429), false, true, false],
  ['429 with a short time', status(429, 2000), true, true, false],
  ['429 with a long time', status(429, 2001), false, true, false],
]

describe('after a failed attempt of which the caller has seen nothing', () => {
  it.each(generations)('%s', (_situation, error, same, other, counts) => {
    const next = afterFailure(error, once)
    expect([next.sameTargetAfterMs !== undefined, next.otherTarget, next.counts]).toEqual([same, other, counts])
  })

  it('a call that costs nothing twice may be asked again after silence, anywhere', () => {
    expect(afterFailure(fault('timeout'), { ...once, repeatable: true })).toEqual({
      sameTargetAfterMs: 25,
      otherTarget: true,
      counts: true,
      cools: false,
    })
  })

  it('the silence of a tunnel is silence: only what costs nothing twice is asked again', () => {
    expect(afterFailure(status(524), { ...once, repeatable: true })).toMatchObject({
      sameTargetAfterMs: 25,
      otherTarget: true,
    })
    expect(afterFailure(status(524), { ...once, mayPayTwice: true }).otherTarget).toBe(true)
  })

  it("silence within a caller's own short time is not held against the target", () => {
    for (const repeatable of [true, false]) {
      expect(afterFailure(fault('timeout'), { ...once, repeatable, hurried: true }).counts).toBe(false)
    }
    expect(afterFailure(fault('connect'), { ...once, hurried: true }).counts).toBe(true)
  })

  it('a generation goes to another target after silence where both may be paid, and never to the same one', () => {
    expect(afterFailure(fault('timeout'), { ...once, mayPayTwice: true })).toMatchObject({
      sameTargetAfterMs: undefined,
      otherTarget: true,
    })
    expect(afterFailure(fault('aborted'), { ...once, mayPayTwice: true }).otherTarget).toBe(false)
  })

  it('a target that has no capacity is to be left alone, and no other', () => {
    for (const [, error] of generations) expect(afterFailure(error, once).cools).toBe(error.status === 429)
  })

  it('has a line for everything that can happen, and a situation for every line', () => {
    const met = new Set<RetryRule>()
    const errors = [...faults.map(fault), ...Array.from({ length: 500 }, (_, at) => status(at + 100)), refused('model')]
    errors.push(said(500, 'out of memory'), said(404, 'model m not found'))
    for (const repeatable of [true, false]) for (const error of errors) met.add(ruleFor(error, repeatable))
    expect([...met]).toHaveLength(retryTable.length)
    expect(met).toEqual(new Set(retryTable))
  })

  it('waits exactly as long as a vendor asks', () => {
    expect(afterFailure(status(429, 1234), once).sameTargetAfterMs).toBe(1234)
  })

  it('waits by full jitter on a doubling base of 50 ms, never longer than 2 s', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (number, random) => {
        const wait = afterFailure(status(503), { ...once, number, random }).sameTargetAfterMs ?? -1
        expect(wait).toBeGreaterThanOrEqual(0)
        expect(wait).toBeLessThanOrEqual(Math.min(2000, 50 * 2 ** (number - 1)))
      }),
    )
    expect(afterFailure(status(503), { ...once, number: 3, random: 0.5 }).sameTargetAfterMs).toBe(100)
  })
})

describe('an alarm', () => {
  it('is what the operator alone can put right', () => {
    for (const code of [401, 402, 403]) expect(isOperatorsFault(status(code))).toBe(true)
    for (const code of [400, 404, 429, 500]) expect(isOperatorsFault(status(code))).toBe(false)
    const spent = { message: 'You exceeded your current quota', code: 'insufficient_quota' }
    expect(isOperatorsFault(new UpstreamError('status', 'failed', { status: 429, vendor: spent }))).toBe(true)
  })
})

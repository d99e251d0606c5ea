import { describe, expect, it } from 'vitest'
import { compileLimits, frameOf, type LimitRow } from '../../../src/features/limits/service.ts'

const row = (id: string, given: Partial<LimitRow> = {}): LimitRow => ({
  id,
  org_id: 'org_1',
  subject_kind: 'key',
  subject_id: 'key_1',
  metric: 'requests',
  algorithm: 'token_bucket',
  window_seconds: 60,
  calendar: null,
  amount: 60,
  burst: null,
  mode: 'enforce',
  preset: null,
  created_at: 0,
  updated_at: 0,
  ...given,
})

const idsOf = (...rows: LimitRow[]) => compileLimits(rows).map(({ id }) => id)

describe('the limits of a caller', () => {
  it('are all there, whoever they are of and however they contradict each other', () => {
    const day = { algorithm: 'fixed_window', window_seconds: null, calendar: 'day', amount: 5 } as const
    expect(idsOf(row('a'), row('b', day), row('c', { subject_kind: 'org' }), row('d', { window_seconds: 61 }))).toEqual(
      ['a', 'b', 'c', 'd'],
    )
  })

  it('leave out what another of the same kind makes pointless', () => {
    expect(idsOf(row('a'), row('b', { amount: 59 }))).toEqual(['b'])
    expect(idsOf(row('a'), row('b'), row('c'))).toEqual(['a'])
    expect(idsOf(row('a', { amount: 59 }), row('b'), row('c', { amount: 58 }))).toEqual(['c'])
  })

  it('keep two buckets of which neither is smaller than the other, and what only monitors', () => {
    expect(idsOf(row('a', { amount: 60, burst: 1 }), row('b', { amount: 30, burst: 5 }))).toEqual(['a', 'b'])
    expect(idsOf(row('a', { mode: 'monitor' }), row('b', { amount: 1 }))).toEqual(['a', 'b'])
  })

  it('say what a bucket holds, and nothing of it elsewhere', () => {
    const [bucket, sliding, lease] = compileLimits([
      row('a'),
      row('b', { metric: 'tokens', algorithm: 'sliding_window' }),
      row('c', { metric: 'concurrency', algorithm: 'concurrency', window_seconds: null }),
    ])
    expect(bucket).toMatchObject({ window: 60, amount: 60, burst: 60 })
    expect(sliding).not.toHaveProperty('burst')
    expect(lease).not.toHaveProperty('window')
  })
})

describe('a calendar period', () => {
  it.each([
    ['2028-02-29T23:59:59.999Z', 'month', 29],
    ['2027-02-01T00:00:00.000Z', 'month', 28],
    ['2026-12-31T12:00:00.000Z', 'month', 31],
    ['2026-12-31T12:00:00.000Z', 'day', 1],
  ] as const)('at %s is a %s of %d days', (time, calendar, days) => {
    const nowMs = Date.parse(time)
    const [limit] = compileLimits([row('a', { algorithm: 'fixed_window', window_seconds: null, calendar })])
    if (!limit) throw new Error('no limit')
    const { windowMs, intoMs, keys } = frameOf('org_1', limit, nowMs)
    expect(windowMs).toBe(days * 86_400_000)
    expect(frameOf('org_1', limit, nowMs - intoMs).keys).toEqual(keys)
    expect(frameOf('org_1', limit, nowMs - intoMs - 1).keys).not.toEqual(keys)
    expect(frameOf('org_1', limit, nowMs - intoMs + windowMs - 1).keys).toEqual(keys)
    expect(frameOf('org_1', limit, nowMs - intoMs + windowMs).keys).not.toEqual(keys)
  })
})

import { describe, expect, it } from 'vitest'
import type { Limit } from '../../../src/core/admission.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import type { HoldAnswer, HoldRequest } from '../../../src/core/ledger.ts'
import { placesOf, reseat } from '../../../src/features/admission/places.ts'
import { fakePolicy } from '../../support/fake-deps.ts'
import { factsOf } from '../ledger/calls.ts'

const atOnce = (id: string, given: Partial<Limit> = {}): Limit => ({
  id,
  subject: 'org',
  metric: 'concurrency',
  algorithm: 'concurrency',
  amount: 3,
  mode: 'enforce',
  ...given,
})
const of = (target: string) => atOnce(target, { subject: 'provider', target })
const candidates = ['openai/gpt-4o', 'groq/llama']

describe('what a call asks the ledger for', () => {
  it('is a place under each limit of its caller, and one at a target', () => {
    const limits = [atOnce('org'), atOnce('watched', { mode: 'monitor' }), of('openai'), of('openai/gpt-4o')]
    expect(placesOf(fakePolicy({ limits }), candidates)).toEqual({
      concurrency: [
        { id: 'org', amount: 3 },
        { id: 'watched', amount: 3, monitors: true },
      ],
      places: [
        {
          target: 'openai/gpt-4o',
          limits: [
            { id: 'openai', amount: 3 },
            { id: 'openai/gpt-4o', amount: 3 },
          ],
        },
        { target: 'groq/llama', limits: [] },
      ],
      priority: 'normal',
    })
    expect(placesOf(fakePolicy({ limits }), candidates, 'high')).toMatchObject({ priority: 'high' })
  })

  it('is nothing where no limit of calls at once binds it', () => {
    const requests: Limit = { ...atOnce('r'), metric: 'requests', algorithm: 'token_bucket', window: 60 }
    expect(placesOf(fakePolicy({ limits: [requests, of('mistral')] }), candidates)).toEqual({})
  })
})

describe('a place at a target that turns out to be out', () => {
  const hold: HoldRequest = {
    facts: factsOf('req_1'),
    amountNanoUsd: 0,
    deadlineMs: 1,
    budgets: [],
    places: ['a/m', 'b/m', 'c/m'].map((target) => ({ target, limits: [{ id: target, amount: 1 }] })),
  }
  const seated = (place: string): PromiseSettledResult<HoldAnswer> => ({
    status: 'fulfilled',
    value: { ok: true, place },
  })

  function world(answer: () => Promise<HoldAnswer>) {
    const asked: string[][] = []
    const ask = (request: HoldRequest) => {
      asked.push((request.places ?? []).map(({ target }) => target))
      return answer()
    }
    return { ask, asked }
  }
  const out =
    (...targets: string[]) =>
    (target: string) =>
      targets.includes(target)

  it('is exchanged for one among the others', async () => {
    const { ask, asked } = world(async () => ({ ok: true, place: 'c/m' }))
    const held = await reseat(ask, hold, { held: seated('a/m'), isOut: out('a/m', 'b/m') })
    expect(held).toEqual(seated('c/m'))
    expect(asked).toEqual([['c/m']])
  })

  it('is kept where it is good, and where every target is out', async () => {
    const { ask, asked } = world(() => Promise.reject(new Error('not asked')))
    for (const isOut of [out('a/m', 'c/m'), out('a/m', 'b/m', 'c/m')]) {
      expect(await reseat(ask, hold, { held: seated('b/m'), isOut })).toEqual(seated('b/m'))
    }
    const refused = { status: 'fulfilled', value: { ok: false, limitId: 'a/m' } } as const
    expect(await reseat(ask, hold, { held: refused, isOut: out('a/m') })).toBe(refused)
    expect(asked).toEqual([])
  })

  it('is refused as the ledger says, and what keeps it from answering is told', async () => {
    const full = world(async () => ({ ok: false, limitId: 'b/m' }))
    expect(await reseat(full.ask, hold, { held: seated('a/m'), isOut: out('a/m') })).toMatchObject({
      value: { ok: false, limitId: 'b/m' },
    })
    const reason = new DependencyError('ledger', new Error('away'))
    const away = world(() => Promise.reject(reason))
    expect(await reseat(away.ask, hold, { held: seated('a/m'), isOut: out('a/m') })).toEqual({
      status: 'rejected',
      reason,
    })
  })
})

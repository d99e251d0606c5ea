import { describe, expect, it } from 'vitest'
import type { Admission, Policy } from '../../../src/core/admission.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import type { ExtendAnswer, ExtendRequest } from '../../../src/core/ledger.ts'
import { createAllowance } from '../../../src/features/completions/allowance.ts'
import { costBound } from '../../../src/features/completions/ask.ts'
import { fakeDeps, fakePolicy, keptLog } from '../../support/fake-deps.ts'
import { noCredit } from '../../support/no-credit.ts'
import { askedOf, targetOf } from './world.ts'

const budgets = [{ id: 'bud_1', window: 'total' as const, limitNanoUsd: 1_000_000_000 }]

const yes: ExtendAnswer = { ok: true }

type Given = {
  answers?: (ExtendAnswer | DependencyError)[]
  held?: boolean
  body?: Record<string, unknown>
  policy?: Partial<Policy>
  run?: Admission['run']
  target?: ReturnType<typeof targetOf>
}

function open({ answers = [], held = true, body = {}, policy = { budgets }, run, ...given }: Given) {
  const asks: ExtendRequest[] = []
  const refused: ExtendAnswer = { ok: false, budgetId: 'bud_1', remainingNanoUsd: 0 }
  const ledger = {
    ...noCredit,
    hold: () => Promise.reject(new Error('no hold here')),
    release: () => Promise.reject(new Error('no release here')),
    spend: () => Promise.reject(new Error('nobody asks what is spent')),
    settledOn: () => Promise.reject(new Error('nobody asks for a day')),
    forgetRun: () => Promise.reject(new Error('no run changes')),
    settle: () => Promise.reject(new Error('no settlement here')),
    extend: async (request: ExtendRequest) => {
      asks.push(request)
      const answer = answers.shift() ?? refused
      if (answer instanceof DependencyError) throw answer
      return answer
    },
  }
  const admission: Admission = {
    policy: fakePolicy(policy),
    held,
    run,
    openBreakers: new Map(),
    cached: undefined,
    tokenCharges: [],
    requests: undefined,
    tokens: undefined,
  }
  const { log } = keptLog()
  const world = { ...fakeDeps({ ledgerOf: () => ledger, log }), admission, requestId: 'req_1' }
  const { target = targetOf('openai', 'gpt-4o') } = given
  const allowance = createAllowance(world, askedOf({ stream: true, max_tokens: 5000, ...body }), target)
  return { covers: allowance.covers, asks, target }
}

describe('an allowance', () => {
  it('holds as much for what is written as that costs behind a long prompt', async () => {
    const target = targetOf('qwen', 'qwen3-max')
    const messages = [{ role: 'user', content: 'x '.repeat(100_000) }]
    const { covers, asks } = open({ answers: [yes], target, body: { messages } })
    expect(await covers(1000)).toBe(true)
    const { price } = target
    const dearest = Math.max(...(price?.tiers ?? []).map(({ prices }) => prices.output))
    expect(asks[0]?.amountNanoUsd).toBe((1000 / 1_000_000) * dearest)
  })

  it('is endless where nothing is held', async () => {
    const { covers, asks } = open({ held: false })
    expect(covers(1e9)).toBe(true)
    expect(asks).toEqual([])
  })

  it('asks nothing while the held slice lasts', () => {
    const { covers, asks } = open({})
    for (let tokens = 0; tokens < 749; tokens++) expect(covers(tokens)).toBe(true)
    expect(asks).toEqual([])
  })

  it('asks for the next slice before it is needed, once, without waiting', async () => {
    const { covers, asks, target } = open({ answers: [yes] })
    expect(covers(800)).toBe(true)
    expect(covers(850)).toBe(true)
    expect(asks).toEqual([{ requestId: 'req_1', amountNanoUsd: costBound(target, 0, 1000), budgets }])
    await Promise.resolve()
    await Promise.resolve()
    expect(covers(1500)).toBe(true)
  })

  it('waits where the slice is used up, and stops where no more is given', async () => {
    const { covers } = open({ answers: [yes] })
    expect(await covers(1200)).toBe(true)
    expect(await covers(2600)).toBe(false)
  })

  it('asks for as much as a large batch needs', async () => {
    const { covers, asks, target } = open({ answers: [yes] })
    expect(await covers(3500)).toBe(true)
    expect(asks.map(({ amountNanoUsd }) => amountNanoUsd)).toEqual([costBound(target, 0, 3500)])
    expect(covers(4000)).toBe(true)
  })

  it('never asks beyond what the model may write', async () => {
    const { covers, asks, target } = open({ answers: [yes], body: { max_tokens: 1200 } })
    expect(await covers(1100)).toBe(true)
    expect(asks.map(({ amountNanoUsd }) => amountNanoUsd)).toEqual([costBound(target, 0, 200)])
    expect(covers(99_999)).toBe(true)
  })

  it('once refused asks again only when nothing is left', async () => {
    const { covers, asks } = open({})
    for (let tokens = 760; tokens < 1000; tokens += 10) {
      expect(covers(tokens)).toBe(true)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(asks).toHaveLength(1)
    expect(await covers(1000)).toBe(false)
    expect(asks).toHaveLength(2)
  })

  it('takes a ledger that does not answer for a refusal', async () => {
    const { covers } = open({ answers: [new DependencyError('ledger', new Error('away'))] })
    expect(await covers(1000)).toBe(false)
  })

  it('extends in the budgets of the run, too, by what the smallest of all can bear', async () => {
    const small = { id: 'bud_run', window: 'total' as const, limitNanoUsd: 100_000_000 }
    const run = { id: 'run-1', budgets: [small] }
    for (const [policy, all] of [
      [{ budgets }, [...budgets, small]],
      [{ budgets: [] }, [small]],
    ] as const) {
      const { covers, asks, target } = open({ answers: [yes], policy, run })
      expect(covers(974)).toBe(true)
      expect(asks).toEqual([])
      expect(covers(976)).toBe(true)
      expect(asks).toEqual([{ requestId: 'req_1', amountNanoUsd: costBound(target, 0, 100), budgets: all }])
    }
  })

  it('holds a slice for each choice', () => {
    const { covers, asks } = open({ body: { n: 3 } })
    expect(covers(2700)).toBe(true)
    expect(asks).toEqual([])
  })
})

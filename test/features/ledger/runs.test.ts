import { describe, expect, it } from 'vitest'
import type { BudgetRef, HoldRequest } from '../../../src/core/ledger.ts'
import { createRuns, type Run } from '../../../src/features/ledger/runs.ts'
import { budgetOf, holdOf, NOON, settlementOf, settleOne } from './calls.ts'
import { GRACE_MS, ledgerWorld } from './world.ts'

const AGES_MS = 10 * (5000 + GRACE_MS)

const idOf = (name: string) => `bud_run_${name}`
const refOf = (name: string): BudgetRef => budgetOf(0, 'total', idOf(name))

/** A ledger and its runs: `top` may spend 1000, `child` of it 400, `leaf` of that one 100. */
function world() {
  const made = ledgerWorld()
  const { state } = made
  const run = (name: string, limitNanoUsd: number, parentId: string | null = null) =>
    state.runs.set(name, { limitNanoUsd, parentId, isOver: false })
  run('top', 1000)
  run('child', 400, 'top')
  run('leaf', 100, 'child')
  const requestOf = (id: string, name: string, amountNanoUsd: number): HoldRequest => {
    const request = holdOf(id, { budgets: [], amountNanoUsd, deadlineMs: state.nowMs + 5000 })
    return { ...request, facts: { ...request.facts, run_id: name } }
  }
  /** As admission does it: Redis lists the call while the ledger is asked. */
  const hold = (id: string, name: string, amountNanoUsd: number) => {
    const request = requestOf(id, name, amountNanoUsd)
    state.open.set(id, JSON.stringify(request))
    return made.ledger.hold(request)
  }
  const settle = (id: string, name: string, costNanoUsd: number, budgets: readonly BudgetRef[]) => {
    const settlement = settlementOf(id, costNanoUsd, budgets)
    return settleOne(made.ledger, { ...settlement, row: { ...settlement.row, run_id: name } })
  }
  /** A call that holds what it costs. */
  const pay = async (id: string, name: string, costNanoUsd: number) => {
    const answer = await hold(id, name, costNanoUsd)
    if (answer.ok) await settle(id, name, costNanoUsd, answer.runBudgets ?? [])
    return answer.ok
  }
  const spend = async (...names: string[]) =>
    (await made.ledger.spend(names.map(refOf))).map(({ settledNanoUsd, heldNanoUsd }) => [settledNanoUsd, heldNanoUsd])
  return { ...made, made, run, hold, settle, pay, spend }
}

describe('a run', () => {
  it('counts in itself and in every run above it, and tells which budgets these are', async () => {
    const { hold, settle, spend } = world()
    const answer = await hold('a', 'leaf', 60)
    expect(answer).toMatchObject({
      ok: true,
      runBudgets: [
        { id: idOf('leaf'), window: 'total', limitNanoUsd: 100 },
        { id: idOf('child'), limitNanoUsd: 400 },
        { id: idOf('top'), limitNanoUsd: 1000 },
      ],
    })
    expect(await spend('leaf', 'child', 'top')).toEqual([
      [0, 60],
      [0, 60],
      [0, 60],
    ])
    await settle('a', 'leaf', 25, (answer.ok && answer.runBudgets) || [])
    expect(await spend('leaf', 'child', 'top')).toEqual([
      [25, 0],
      [25, 0],
      [25, 0],
    ])
  })

  it('holds at every level or at none, and leaves to those above what it does not use', async () => {
    const { hold, pay, spend } = world()
    expect(await pay('a', 'top', 700)).toBe(true)
    expect(await hold('b', 'child', 301)).toEqual({ ok: false, budgetId: idOf('top'), remainingNanoUsd: 300 })
    expect(await hold('c', 'leaf', 101)).toEqual({ ok: false, budgetId: idOf('leaf'), remainingNanoUsd: 100 })
    expect(await spend('leaf', 'child', 'top')).toEqual([
      [0, 0],
      [0, 0],
      [700, 0],
    ])
    expect(await pay('d', 'leaf', 40)).toBe(true)
    expect(await pay('e', 'top', 260)).toBe(true)
    expect(await pay('f', 'leaf', 1)).toBe(false)
  })

  it('holds beside the budgets of its caller', async () => {
    const { ledger, hold, state, spend } = world()
    await hold('a', 'leaf', 10)
    const own = budgetOf(50, 'day')
    const request = holdOf('b', { budgets: [own], amountNanoUsd: 51, deadlineMs: state.nowMs + 5000 })
    const named = { ...request, facts: { ...request.facts, run_id: 'leaf' } }
    expect(await ledger.hold(named)).toMatchObject({ ok: false, budgetId: own.id })
    expect(await ledger.hold({ ...named, amountNanoUsd: 50 })).toMatchObject({ ok: true })
    expect(await ledger.spend([own])).toMatchObject([{ heldNanoUsd: 50 }])
    expect(await spend('leaf')).toEqual([[0, 60]])
  })

  it('is read once with all above it, and nothing of Postgres is needed from then on', async () => {
    const { hold, pay, state } = world()
    await Promise.all(Array.from({ length: 20 }, (_unused, at) => hold(`r${at}`, 'leaf', 1)))
    expect([state.runsRead, state.opened]).toEqual([1, 1])
    const before = state.writes
    state.postgresAway = true
    expect(await pay('child', 'child', 1)).toBe(true)
    expect(await pay('top', 'top', 1)).toBe(true)
    expect(state.writes).toBe(before)
  })

  it('that nobody made, or that is over, is refused, and may be made a moment later', async () => {
    const { hold, ledger, run, state } = world()
    expect(await hold('a', 'later', 1)).toEqual({ ok: false, runId: 'later' })
    expect(await hold('b', 'later', 1)).toEqual({ ok: false, runId: 'later' })
    expect(state.runsRead).toBe(1)
    run('later', 10)
    await ledger.forgetRun('later')
    expect(await hold('c', 'later', 1)).toMatchObject({ ok: true })
    state.runs.set('later', { limitNanoUsd: 10, parentId: null, isOver: true })
    await ledger.forgetRun('later')
    expect(await hold('d', 'later', 1)).toEqual({ ok: false, runId: 'later' })
  })

  it('that is made without a word is known within seconds', async () => {
    const { hold, made, run } = world()
    expect(await hold('a', 'later', 1)).toEqual({ ok: false, runId: 'later' })
    run('later', 10)
    await made.pass(5000)
    expect(await hold('b', 'later', 1)).toMatchObject({ ok: true })
  })

  it('follows a change from the next call on, also one above it', async () => {
    const { hold, ledger, pay, run } = world()
    await pay('a', 'leaf', 10)
    run('leaf', 10, 'child')
    await ledger.forgetRun('leaf')
    expect(await hold('b', 'leaf', 1)).toMatchObject({ ok: false, budgetId: idOf('leaf') })
    run('leaf', 500, 'child')
    await ledger.forgetRun('leaf')
    run('top', 12)
    await ledger.forgetRun('top')
    expect(await hold('c', 'leaf', 3)).toEqual({ ok: false, budgetId: idOf('top'), remainingNanoUsd: 2 })
    expect(await hold('d', 'leaf', 2)).toMatchObject({ ok: true })
  })

  it.each(['leaf', 'top'])('follows a change of %s that comes while it is read', async (changed) => {
    const known = new Map<string, Run>([
      ['leaf', runOf('leaf', 1, 'top')],
      ['top', runOf('top', 1)],
    ])
    const gate = Promise.withResolvers<void>()
    const runs = createRuns(
      async () => {
        const read = new Map(known)
        await gate.promise
        return read
      },
      () => NOON,
    )
    const asked = runs.resolve('leaf')
    known.set(changed, { ...runOf(changed, 2), parentId: changed === 'leaf' ? 'top' : undefined })
    runs.forget(changed)
    gate.resolve()
    await asked
    const chain = runs.chainOf('leaf')
    const limits = chain === undefined || chain === 'none' ? [] : chain.budgets.map(({ limitNanoUsd }) => limitNanoUsd)
    expect(limits).toEqual(changed === 'leaf' ? [2, 1] : [1, 2])
  })

  it('follows a change that nobody told within a minute, behind its calls', async () => {
    const { made, hold, run, settledInBackground, state } = world()
    await hold('a', 'leaf', 1)
    run('leaf', 5, 'child')
    expect(await hold('b', 'leaf', 10)).toMatchObject({ ok: true })
    await made.pass(60_000)
    state.postgresAway = true
    expect(await hold('c', 'leaf', 1)).toMatchObject({ ok: true })
    await settledInBackground()
    expect(await hold('d', 'leaf', 10)).toMatchObject({ ok: true })
    state.postgresAway = false
    await made.pass(61_000)
    await hold('e', 'leaf', 1)
    await settledInBackground()
    expect(await hold('f', 'leaf', 10)).toMatchObject({ ok: false, budgetId: idOf('leaf') })
  })

  it('follows such a change at once where nobody called for some minutes', async () => {
    const { run, hold, pay, pass, state } = world()
    await pay('a', 'top', 100)
    await pass(300_000)
    run('top', 250)
    expect(await hold('b', 'top', 151)).toEqual({ ok: false, budgetId: idOf('top'), remainingNanoUsd: 150 })
    state.runs.set('top', { limitNanoUsd: 250, parentId: null, isOver: true })
    await pass(300_000)
    expect(await hold('c', 'top', 1)).toEqual({ ok: false, runId: 'top' })
  })

  it('goes on by what was known of it while Postgres is away, and waits for that now and then only', async () => {
    const { hold, settle, pay, pass, state } = world()
    await pay('a', 'child', 10)
    await pass(300_000)
    state.postgresAway = true
    const before = state.writes
    for (const id of ['b', 'c', 'd']) expect(await hold(id, 'child', 10)).toMatchObject({ ok: true })
    expect(state.writes - before).toBe(1)
    // Once a row could not be written nobody waits for it at all.
    await settle('b', 'child', 1, [])
    await pass(300_000)
    const later = state.writes
    for (const id of ['e', 'f']) expect(await hold(id, 'child', 10)).toMatchObject({ ok: true })
    expect(state.writes).toBe(later)
  })

  it('waits for Postgres where it is not known, and holds nothing', async () => {
    const { hold, state, spend } = world()
    state.postgresAway = true
    await expect(hold('a', 'leaf', 1)).rejects.toThrow()
    state.postgresAway = false
    expect(await spend('leaf')).toEqual([[0, 0]])
    expect(await hold('a', 'leaf', 1)).toMatchObject({ ok: true })
  })

  it('holds nothing for a call that was given up while the run was read', async () => {
    const { hold, ledger, state, spend } = world()
    const gate = Promise.withResolvers<void>()
    state.postgresGate = gate.promise
    const ends = Promise.allSettled([hold('a', 'leaf', 7), hold('b', 'leaf', 7)])
    await ledger.release('a')
    gate.resolve()
    expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
    expect(await spend('leaf')).toEqual([[0, 7]])
  })

  it('counts what was spent in it and below before this ledger knew of it, each call once', async () => {
    const { made, pay, run, spend, state } = world()
    await pay('a', 'leaf', 10)
    await made.pass(2000)
    await pay('b', 'child', 5)
    run('above', 50)
    state.runs.set('top', { limitNanoUsd: 1000, parentId: 'above', isOver: false })
    expect(await spend('above')).toEqual([[15, 0]])
  })
})

describe('after a crash', () => {
  it('what calls of a run may have held is nobody else’s, at every level', async () => {
    const { made, hold, spend } = world()
    await hold('a', 'leaf', 60)
    made.crash()
    const ghosts = await made.ledger.spend(['leaf', 'child', 'top'].map(refOf))
    for (const { heldNanoUsd } of ghosts) expect(heldNanoUsd).toBeGreaterThanOrEqual(60)
    expect(await made.ledger.hold(runHold('b', 'leaf', 41))).toMatchObject({ ok: false, budgetId: idOf('leaf') })
    await made.pass(AGES_MS)
    expect([...made.state.rows.values()]).toMatchObject([{ request_id: 'a', run_id: 'leaf', status: 'unknown' }])
    expect(made.state.rows.get('a')?.cost_nanos).toBe(60)
    expect(await spend('leaf', 'child', 'top')).toEqual([
      [60, 0],
      [60, 0],
      [60, 0],
    ])
  })

  it('a call whose run was deleted meanwhile still counts above it', async () => {
    const { made, hold, spend, state } = world()
    await hold('a', 'leaf', 60)
    made.crash()
    state.runs.set('leaf', { limitNanoUsd: 100, parentId: 'child', isOver: true })
    await made.pass(AGES_MS)
    expect(await spend('child', 'top')).toEqual([
      [60, 0],
      [60, 0],
    ])
  })

  it('a call that named no run there is was never made, and leaves no row', async () => {
    const { made, hold } = world()
    await hold('a', 'leaf', 60)
    expect(await hold('b', 'nowhere', 60)).toMatchObject({ ok: false })
    made.crash()
    await made.pass(AGES_MS)
    expect([...made.state.rows.keys()]).toEqual(['a'])
    expect(made.state.open.size).toBe(0)
  })

  it('a call of the last life settles once, and is extended out of its ghost', async () => {
    const { made, hold, settle, spend } = world()
    const answer = await hold('a', 'leaf', 60)
    made.crash()
    const budgets = (answer.ok && answer.runBudgets) || []
    expect(await made.ledger.extend({ requestId: 'a', amountNanoUsd: 39, budgets })).toEqual({ ok: true })
    expect(await made.ledger.extend({ requestId: 'a', amountNanoUsd: 1, budgets })).toMatchObject({ ok: false })
    expect(await settle('a', 'leaf', 70, budgets)).toBe(true)
    expect(await settle('a', 'leaf', 70, budgets)).toBe(false)
    await made.pass(AGES_MS)
    expect(await spend('leaf', 'top')).toEqual([
      [70, 0],
      [70, 0],
    ])
  })
})

const runOf = (name: string, limitNanoUsd: number, parentId?: string): Run => ({
  budget: budgetOf(limitNanoUsd, 'total', idOf(name)),
  parentId,
  isOver: false,
})

const runHold = (id: string, name: string, amountNanoUsd: number): HoldRequest => {
  const request = holdOf(id, { budgets: [], amountNanoUsd, deadlineMs: NOON + 5000 })
  return { ...request, facts: { ...request.facts, run_id: name } }
}

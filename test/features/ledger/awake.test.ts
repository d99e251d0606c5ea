import { expect, it } from 'vitest'
import { budgetOf, holdOf, NOON, settlementOf, settleOne } from './calls.ts'
import { ledgerWorld } from './world.ts'

const budgets = [budgetOf(1000)]

it('stays awake while a call is open without a word to the stores, and sleeps once it is over', async () => {
  const world = ledgerWorld()
  await world.ledger.hold(holdOf('a', { budgets, amountNanoUsd: 100, deadlineMs: NOON + 100_000 }))
  await world.pass(5000)
  const { redisRequests, writes } = world.state
  // Ten seconds without a request, and the object would lose what it holds.
  for (let second = 5; second < 60; second += 5) expect(await world.pass(5000)).toBeGreaterThan(0)
  expect([world.state.redisRequests, world.state.writes]).toEqual([redisRequests, writes])
  expect(await world.ledger.spend(budgets)).toMatchObject([{ settledNanoUsd: 0, heldNanoUsd: 100 }])
  await settleOne(world.ledger, settlementOf('a', 20, budgets))
  await world.pass(5000)
  expect(world.state.alarmMs).toBeUndefined()
  world.crash()
  expect(await world.ledger.spend(budgets)).toMatchObject([{ settledNanoUsd: 20, heldNanoUsd: 0 }])
})

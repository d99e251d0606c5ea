import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Ask } from '../../../src/core/admission.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { type RedisBackend, startEmbedded } from './backends.ts'
import { admissionWorld } from './world.ts'

let backend: RedisBackend

beforeAll(async () => {
  backend = await startEmbedded()
})
afterAll(() => backend?.stop())

const budget = { id: 'bud_run', window: 'total' as const, limitNanoUsd: 1000 }

/** A caller without a budget of their own, and a run that has one. */
function world() {
  const made = admissionWorld(backend)
  made.state.runs.set('run-1', [budget])
  const asking = (runId: string) => (): Ask => ({
    tokens: 0,
    candidates: [],
    hold: {
      facts: {
        operation: 'chat',
        run_id: runId,
        provider: 'openai',
        model: 'gpt-4o',
        price_id: 'p',
        prices_hash: 'h',
      },
      amountNanoUsd: 100,
      deadlineMs: made.state.nowMs + 60_000,
      budgets: [],
    },
  })
  const openCalls = async () => {
    const [all] = await backend.redis.pipeline([['HVALS', redisKeys.open(made.orgId)]])
    return Array.isArray(all) ? all.map((text) => JSON.parse(String(text)).facts) : []
  }
  return { ...made, call: (runId: string) => made.admit({}, asking(runId)), openCalls }
}

describe('a call that names a run', () => {
  it('holds in the budgets of the run, and is noted with it and with the agent of its key', async () => {
    const { call, holds, openCalls, state } = world()
    state.agentId = 'nightly'
    expect(await call('run-1')).toMatchObject({ held: true, run: { id: 'run-1', budgets: [budget] } })
    expect([...holds.values()].map(({ facts }) => [facts.run_id, facts.agent_id])).toEqual([['run-1', 'nightly']])
    expect(await openCalls()).toMatchObject([{ run_id: 'run-1', agent_id: 'nightly' }])
  })

  it('is refused where there is no such run, and leaves nothing behind', async () => {
    const { call, holds, openCalls, settled } = world()
    await expect(call('run-2')).rejects.toMatchObject({
      code: 'invalid_request',
      status: 400,
      param: 'helix.run_id',
      message: expect.stringContaining('run-2'),
    })
    await settled()
    expect(holds.size).toBe(0)
    expect(await openCalls()).toEqual([])
  })

  it('is refused while the ledger is away', async () => {
    const { call, state } = world()
    state.ledgerAway = true
    await expect(call('run-1')).rejects.toMatchObject({ code: 'budget_unavailable', status: 503 })
  })

  it('is refused by a ledger that knows nothing of runs', async () => {
    const { call, state } = world()
    state.knowsRuns = false
    await expect(call('run-1')).rejects.toMatchObject({ code: 'budget_unavailable', status: 503 })
  })

  it('holds in them without Redis, too', async () => {
    const { call } = world()
    await call('run-1')
    backend.proxy.mode('refuse')
    try {
      expect(await call('run-1')).toMatchObject({ held: true, run: { id: 'run-1' } })
      await expect(call('run-2')).rejects.toMatchObject({ param: 'helix.run_id' })
    } finally {
      backend.proxy.mode('pass')
    }
  })
})

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { DependencyError } from '../../../src/core/errors.ts'
import type { SettledCall } from '../../../src/core/ledger.ts'
import { settle } from '../../../src/features/ledger/settling.ts'
import { fakeAdmission, fakeDeps, keptLog } from '../../support/fake-deps.ts'
import { noCredit } from '../../support/no-credit.ts'
import { settlementOf } from './calls.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

type Away = { ledgerFails: number; refuses?: string; isPostgresAway?: boolean }

/** A caller whose ledger fails so many times, before a Postgres that refuses the rows of one call. */
function callerOf({ ledgerFails, refuses, isPostgresAway }: Away, policy: Parameters<typeof fakeAdmission>[0] = {}) {
  const asked: string[][] = []
  const written: string[] = []
  let writes = 0
  const { log, lines } = keptLog()
  const settleAll = async (calls: readonly SettledCall[]): Promise<boolean[]> => {
    asked.push(calls.map(({ request_id }) => request_id))
    if (asked.length <= ledgerFails) throw new DependencyError('ledger', new Error('it moves'))
    return calls.map(() => true)
  }
  const deps = fakeDeps({
    log,
    now: Date.now,
    ledgerOf: () => ({
      ...noCredit,
      hold: async () => ({ ok: true }),
      extend: async () => ({ ok: true }),
      release: async () => undefined,
      settle: settleAll,
      spend: async () => [],
      settledOn: async () => undefined,
      forgetRun: async () => undefined,
    }),
    db: {
      query: async () => [],
      atomically: (async (_org: string, build: (query: unknown) => unknown) => {
        let text = ''
        writes += 1
        if (isPostgresAway) throw new DependencyError('postgres', new Error('it moves'))
        build({ execute: (statement: { queryChunks: unknown[] }) => (text = JSON.stringify(statement.queryChunks)) })
        if (refuses !== undefined && text.includes(refuses)) throw new Error('invalid input syntax')
        for (const [id] of text.matchAll(/req_\w+/g)) if (!written.includes(id)) written.push(id)
        return [[]]
      }) as never,
    },
  })
  const ctx = { ...deps, admission: fakeAdmission({ orgId: 'org_1', ...policy }) }
  return { ctx, asked, written, writes: () => writes, events: () => lines.map(({ event }) => event) }
}

const together = ['req_a', 'req_b', 'req_c'].map((id) => settlementOf(id, 1))

describe('calls that are settled together', () => {
  it('go to the ledger in one call, which is asked again while it does not answer', async () => {
    const { ctx, asked, written, events } = callerOf({ ledgerFails: 2 })
    const settled = settle(ctx, together)
    await vi.runAllTimersAsync()
    await settled
    expect(asked).toEqual(Array.from({ length: 3 }, () => ['req_a', 'req_b', 'req_c']))
    expect(written).toEqual([])
    expect(events()).toEqual(['settlement_failed', 'settlement_failed'])
  })

  it('go straight to Postgres when it stays away', async () => {
    const { ctx, written, events } = callerOf({ ledgerFails: 3 })
    const settled = settle(ctx, together)
    await vi.runAllTimersAsync()
    await settled
    expect(written).toEqual(['req_a', 'req_b', 'req_c'])
    expect(events().at(-1)).toBe('settled_without_ledger')
  })

  it('ask a Postgres that is away, too, once for all of them', async () => {
    const { ctx, writes } = callerOf({ ledgerFails: 3, isPostgresAway: true })
    const settled = expect(settle(ctx, together)).rejects.toThrow(DependencyError)
    await vi.runAllTimersAsync()
    await settled
    expect(writes()).toBe(1)
  })

  it('are not kept out by one of them that Postgres refuses', async () => {
    const { ctx, written } = callerOf({ ledgerFails: 3, refuses: 'req_b' })
    const settled = expect(settle(ctx, together)).rejects.toThrow('invalid input syntax')
    await vi.runAllTimersAsync()
    await settled
    expect(written).toEqual(['req_a', 'req_c'])
  })
})

it('settles at once, whoever came before, where calls at once are limited', async () => {
  const limit = { id: 'lim_1', subject: 'key', metric: 'concurrency', algorithm: 'concurrency', amount: 1 } as const
  const limited = callerOf({ ledgerFails: 0 }, { limits: [{ ...limit, mode: 'enforce' }] })
  for (const settlement of together) await settle(limited.ctx, [settlement])
  expect(limited.asked).toEqual([['req_a'], ['req_b'], ['req_c']])

  const free = callerOf({ ledgerFails: 0 })
  const settled = Promise.all(together.map((settlement) => settle(free.ctx, [settlement])))
  await vi.runAllTimersAsync()
  await settled
  expect(free.asked).toEqual([['req_a'], ['req_b', 'req_c']])
})

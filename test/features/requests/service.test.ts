import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Database } from '../../../src/core/db.ts'
import type { DecisionRow } from '../../../src/core/decision.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import type { RequestRow } from '../../../src/core/request-log.ts'
import { noteRequest } from '../../../src/features/requests/service.ts'
import { fakeDeps, keptLog } from '../../support/fake-deps.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const START_MS = 1_800_000_000_000

/** An isolate whose inserts are kept, or fail. */
function isolate() {
  const state = { nowMs: START_MS, isAway: false, random: 0.5 }
  const inserts: { orgId: string; rows: RequestRow[]; decisions: DecisionRow[] }[] = []
  const builder = {
    insert: () => ({ values: (rows: unknown[]) => ({ onConflictDoNothing: () => rows }) }),
  }
  const db: Pick<Database, 'query'> & { atomically: unknown } = {
    query: () => Promise.reject(new Error('nothing is asked outside an organisation')),
    atomically: async (orgId: string, build: (query: typeof builder) => [RequestRow[], DecisionRow[]?]) => {
      if (state.isAway) throw new DependencyError('postgres', new Error('away'))
      const [rows, decisions = []] = build(builder)
      inserts.push({ orgId, rows, decisions })
    },
  }
  const { log, lines } = keptLog()
  const deps = fakeDeps({ db: db as Database, log, now: () => state.nowMs, random: () => state.random })
  const deferred: Promise<unknown>[] = []
  let made = 0
  const defer = (work: Promise<unknown>) => void deferred.push(work)
  const note = (orgId = 'org_1', decision?: DecisionRow) =>
    noteRequest(deps, { row: rowOf(orgId, made++), decision }, defer)
  const pass = async (ms: number) => {
    state.nowMs += ms
    await vi.advanceTimersByTimeAsync(ms)
    await vi.dynamicImportSettled()
    await vi.advanceTimersByTimeAsync(0)
  }
  return { state, note, pass, inserts, lines, deferred, deps }
}

const decisionOf = (asked_model: string): DecisionRow => ({
  id: `dec_${asked_model}`,
  org_id: 'org_1',
  request_id: 'req_1',
  key_id: 'key_1',
  user_id: null,
  asked_model,
  strategy: 'none',
  candidates: [],
  excluded: [{ target: `openai/${asked_model}`, reason: 'breaker_open' }],
  attempts: [],
  chosen: null,
  outcome: 'refused',
  cache: 'off',
  is_stream: false,
  policy_version: '1',
  prices_version: '1',
  created_at: START_MS / 1000,
})

const rowOf = (orgId: string, at: number): RequestRow => ({
  request_id: `req_${at}`,
  org_id: orgId,
  key_id: 'key_1',
  user_id: null,
  method: 'GET',
  path: '/api/v1/keys',
  status_code: 429,
  error_code: 'rate_limit_exceeded',
  ip: null,
  user_agent: null,
  client_request_id: null,
  response_time_ms: 1,
  bytes_in: null,
  bytes_out: null,
  created_at: START_MS / 1000,
})

describe('rows of requests that settle nothing', () => {
  it('are written together a second later, by organisation', async () => {
    const { note, pass, inserts, deferred } = isolate()
    for (let at = 0; at < 3; at++) note()
    note('org_2')
    note()
    expect(deferred).toHaveLength(2)
    await pass(999)
    expect(inserts).toEqual([])
    await pass(1)
    expect(inserts.map(({ orgId, rows }) => [orgId, rows.map((row) => row.request_id)])).toEqual([
      ['org_1', ['req_0', 'req_1', 'req_2', 'req_4']],
      ['org_2', ['req_3']],
    ])
    note()
    await pass(1000)
    expect(inserts.at(-1)?.rows).toMatchObject([{ request_id: 'req_5' }])
  })

  it('take the decisions along that were behind them', async () => {
    const { note, pass, inserts } = isolate()
    note()
    note('org_1', decisionOf('a'))
    note('org_1', decisionOf('b\0\ud800'))
    await pass(1000)
    expect(inserts.map(({ rows, decisions }) => [rows.length, decisions.map((row) => row.asked_model)])).toEqual([
      [3, ['a', 'b\ufffd\ufffd']],
    ])
    expect(inserts[0]?.decisions[1]?.excluded).toEqual([{ target: 'openai/b\ufffd\ufffd', reason: 'breaker_open' }])
  })

  it('are a part of them above fifty a second, and the log says how many are not there', async () => {
    const { state, note, pass, inserts, lines } = isolate()
    for (let at = 0; at < 150; at++) {
      state.random = at % 10 === 0 ? 0.05 : 0.5
      note()
    }
    await pass(1000)
    expect(inserts[0]?.rows).toHaveLength(60)
    expect(lines).toMatchObject([{ level: 'warn', event: 'requests_left_out', facts: { org_id: 'org_1', rows: 90 } }])
  })

  it('are never more than five hundred at once', async () => {
    const { state, note, pass, inserts } = isolate()
    state.random = 0
    for (let at = 0; at < 2000; at++) note()
    await pass(1000)
    expect(inserts[0]?.rows).toHaveLength(500)
  })

  it('are lost with a line in the log where Postgres does not take them, and hold nothing up', async () => {
    const { state, note, pass, inserts, lines, deps } = isolate()
    state.isAway = true
    note()
    await pass(1000)
    expect(lines).toMatchObject([{ event: 'requests_lost', facts: { org_id: 'org_1', rows: 1 } }])
    expect(deps.memory.requests.size).toBe(0)
    state.isAway = false
    note()
    await pass(1000)
    expect(inserts).toHaveLength(1)
  })

  it('are taken over when whoever was to write them is gone', async () => {
    const { state, note, pass, inserts } = isolate()
    // The platform ended the work that the first request left behind.
    const timer = vi.spyOn(globalThis, 'setTimeout').mockImplementationOnce(() => Object.assign(Object.create(null)))
    note()
    timer.mockRestore()
    state.nowMs += 40_000
    note()
    await pass(1000)
    expect(inserts.map(({ rows }) => rows.map((row) => row.request_id))).toEqual([['req_0', 'req_1']])
  })
})

import type { SQL } from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'
import { createLedgers } from '../../../src/adapters/ledger.ts'
import type { Database } from '../../../src/core/db.ts'
import { DependencyError } from '../../../src/core/errors.ts'
import type { LedgerBooks, LedgerRow } from '../../../src/core/ledger.ts'
import type { RedisCommand } from '../../../src/core/redis.ts'
import { redisKeys } from '../../../src/features/admission/keys.ts'
import { createOrgLedger } from '../../../src/features/ledger/service.ts'
import { keptLog } from '../../support/fake-deps.ts'
import { sqliteStorage } from '../../support/sqlite-storage.ts'
import { NOON } from './calls.ts'

/** How an isolate reaches the books of its organisation: over the adapter, and as clones. */
export const ledgersOver = (books: () => LedgerBooks, now: () => number) =>
  createLedgers(
    {
      getByName: () => ({ ...books(), hold: (text) => books().hold(JSON.parse(text)) }),
    },
    now,
  )

export const GRACE_MS = 10_000
const dialect = new PgDialect()

/** The object of one organisation between stores that may be away, on a clock that only the test moves. */
export function ledgerWorld() {
  const state = {
    nowMs: NOON,
    alarmMs: undefined as number | undefined,
    postgresAway: false,
    /** A statement with more rows than this takes Postgres too long. */
    mostRows: Number.POSITIVE_INFINITY,
    /** What Postgres answers waits for this. */
    postgresGate: Promise.resolve(),
    redisAway: false,
    rows: new Map<string, LedgerRow>(),
    /** What each budget counts; those that are not here count the whole organisation. */
    subjects: new Map<string, { kind: string; id: string }>(),
    /** Runs by name, each with the budget that it has and the run above it. */
    runs: new Map<string, { limitNanoUsd: number; parentId: string | null; isOver: boolean }>(),
    /** Look-ups of runs. */
    runsRead: 0,
    deleted: new Set<string>(),
    audited: [] as { budget_id: string; details: Record<string, unknown> }[],
    /** Look-ups of what was spent. */
    opened: 0,
    /** Requests to Postgres, failed ones included. */
    writes: 0,
    batches: [] as number[],
    open: new Map<string, string>(),
    commands: [] as RedisCommand[],
    redisRequests: 0,
  }
  const storage = sqliteStorage()
  const background: Promise<unknown>[] = []
  const { log, lines } = keptLog()
  let made = 0

  const insert = (text: string): void => {
    const rows: LedgerRow[] = JSON.parse(text)
    if (rows.length > state.mostRows) throw new DependencyError('postgres', new Error('too slow'))
    state.batches.push(rows.length)
    for (const row of rows) if (!state.rows.has(row.request_id)) state.rows.set(row.request_id, row)
  }
  /** As Postgres answers: a total of every row that is not counted elsewhere. */
  const bookedRows = (wanted: { id: string; since: number }[], except: string) => {
    state.opened += 1
    return wanted.map(({ id, since }) => {
      const run = id.startsWith('bud_run_') ? { kind: 'run', id: id.slice('bud_run_'.length) } : undefined
      const { kind, id: subject } = run ?? state.subjects.get(id) ?? { kind: 'org', id: 'org_1' }
      const names = kind === 'run' ? below(subject) : [subject]
      const counted = [...state.rows.values()].filter(
        (row) =>
          row.created_at >= since &&
          !JSON.parse(except).includes(row.request_id) &&
          (kind === 'org' ||
            [row.key_id, row.user_id, row.model, row.agent_id, row.run_id].some((name) => names.includes(name ?? ''))),
      )
      const nanos = counted.reduce((sum, { cost_nanos }) => sum + cost_nanos, 0)
      return { id, subject_kind: kind, names, bucket: nanos === 0 ? null : 'total', nanos: String(nanos) }
    })
  }
  const below = (name: string): string[] => [
    name,
    ...[...state.runs].flatMap(([id, { parentId }]) => (parentId === name ? below(id) : [])),
  ]
  const chainRows = (name: string): object[] => {
    const run = state.runs.get(name)
    if (!run) return []
    const { limitNanoUsd, parentId, isOver } = run
    const row = { id: `bud_run_${name}`, subject_id: name, parent_id: parentId, soft_percent: [] }
    const above = parentId === null ? [] : chainRows(parentId)
    return [{ ...row, limit_nanos: String(limitNanoUsd), is_over: isOver }, ...above]
  }
  /** As much of the query builder as the ledger uses. */
  const builder = {
    execute: (statement: SQL) => () => {
      const { sql, params } = dialect.sqlToQuery(statement)
      if (sql.includes('insert into usage_ledger')) insert(String(params[0]))
      if (sql.startsWith('insert into audit_log')) state.audited.push(...JSON.parse(String(params[1])))
      if (sql.startsWith('select b.id')) return { rows: bookedRows(JSON.parse(String(params[0])), String(params[3])) }
      if (sql.startsWith('with recursive chain')) {
        state.runsRead += 1
        return { rows: chainRows(String(params[1])) }
      }
      if (sql.startsWith('select id from budgets')) return { rows: [...state.deleted].map((id) => ({ id })) }
      return { rows: [] }
    },
    select: () => ({
      from: () => ({
        where: (condition: SQL) => () =>
          dialect
            .sqlToQuery(condition)
            .params.filter((id) => state.rows.has(String(id)))
            .map((id) => ({ id })),
      }),
    }),
  }
  const db = {
    query: () => Promise.reject(new Error('the ledger asks nothing outside its organisation')),
    atomically: async (_orgId: string, build: (query: typeof builder) => (() => unknown)[]) => {
      state.writes += 1
      await state.postgresGate
      if (state.postgresAway) throw new DependencyError('postgres', new Error('away'))
      return build(builder).map((statement) => statement())
    },
  }
  const redis = {
    run: () => Promise.reject(new Error('the ledger runs no script')),
    pipeline: async (commands: readonly RedisCommand[]) => {
      state.redisRequests += 1
      if (state.redisAway) throw new DependencyError('redis', new Error('away'))
      state.commands.push(...commands)
      return commands.map((command) => {
        if (command[0] === 'HVALS') return [...state.open.values()]
        if (command[0] === 'HLEN') return state.open.size
        if (command[0] === 'HGETALL') return state.open.size === 0 ? null : Object.fromEntries(state.open)
        if (command[0] === 'HDEL') for (const id of command[2]) state.open.delete(id)
        return 1
      })
    },
  }
  const start = () =>
    createOrgLedger({
      orgId: 'org_1',
      storage,
      alarm: {
        currentMs: () => state.alarmMs,
        set: (atMs) => {
          // As Durable Objects have it: such an alarm is refused, and the object would wait for it for ever.
          if (atMs <= 0) throw new TypeError('an alarm is for a time after 1970')
          state.alarmMs = atMs
        },
      },
      deps: {
        // The builder above stands in for drizzle's; only its shape differs.
        db: db as unknown as Database,
        redis,
        log,
        now: () => state.nowMs,
        newId: (prefix) => `${prefix}_${made++}`,
      },
      graceMs: GRACE_MS,
      background: (work) => void background.push(work),
    })
  let ledger = start()

  return {
    state,
    lines,
    get ledger() {
      return ledger
    },
    /** The object dies and is made again over the same storage. A set alarm survives it. */
    crash: () => {
      ledger = start()
    },
    /** Lets the time pass; alarms ring when theirs has come. Returns how often they rang. */
    async pass(ms: number): Promise<number> {
      const untilMs = state.nowMs + ms
      let rings = 0
      while (state.alarmMs !== undefined && state.alarmMs <= untilMs) {
        state.nowMs = Math.max(state.nowMs, state.alarmMs)
        state.alarmMs = undefined
        rings += 1
        await ledger.wake()
        await Promise.all(background.splice(0))
      }
      state.nowMs = untilMs
      return rings
    },
    settledInBackground: () => Promise.all(background.splice(0)),
    openKey: redisKeys.open('org_1'),
  }
}

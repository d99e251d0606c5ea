import type { Deps } from '../../core/context.ts'
import { DependencyError } from '../../core/errors.ts'
import type { Measured } from '../../core/figures.ts'
import type { CounterIncrement, LedgerRow, Settlement } from '../../core/ledger.ts'
import type { RedisCommand } from '../../core/redis.ts'
import { redisKeys } from '../admission/service.ts'
import { limitKeys, SHADOW_SECONDS } from '../limits/service.ts'
import { countersOf } from './counters.ts'
import { figuresCommand } from './figures.ts'
import type { OutboxEntry } from './outbox-rows.ts'

type Sink = Pick<Deps, 'db' | 'redis'>

/** Minute windows of tokens live two minutes; a correction must not outlive the window it corrects. */
const TOKEN_WINDOW_SECONDS = 120

/** Redis hashes of the metric counters: one for the platform, one for each organisation. */
export const metricsKey = (orgId?: string) => (orgId === undefined ? 'metrics' : `${orgId}:metrics`)

/**
 * The permanent record of calls, of the requests that made them and of the decisions behind them: one statement for a
 * whole batch; a row that is there already stays as it is.
 */
export async function writeRows({ db }: Sink, orgId: string, entries: readonly OutboxEntry[]): Promise<void> {
  // Loaded when rows are written: an isolate that answers calls writes none.
  const { sql } = await import('drizzle-orm/sql')
  const rows = `[${entries.map((entry) => entry.rowText).join(',')}]`
  await db.atomically(orgId, (query) => [
    query.execute(
      sql`with entries as materialized (select value as entry from json_array_elements(${rows}::json)),
        calls as (
          insert into usage_ledger
          select call.* from entries, json_populate_record(null::usage_ledger, entry) call
          on conflict (request_id) do nothing),
        requests as (
          insert into request_log
          select request.* from entries, json_populate_record(null::request_log, entry->'request') request
          where entry->'request' is not null on conflict (request_id) do nothing)
        insert into decisions
        select decision.* from entries, json_populate_record(null::decisions, entry->'decision') decision
        where entry->'decision' is not null on conflict (id) do nothing`,
    ),
  ])
}

/**
 * One call by itself. What is kept of it beside the ledger's row, in the log of requests and among the decisions,
 * never keeps that from being written.
 */
export async function writeCall(sink: Sink & Pick<Deps, 'log'>, orgId: string, entry: OutboxEntry): Promise<void> {
  try {
    await writeRows(sink, orgId, [entry])
  } catch (cause) {
    if (cause instanceof DependencyError) throw cause
    const { request, decision, measured: _told, ...row } = JSON.parse(entry.rowText)
    if (request === undefined && decision === undefined) throw cause
    await writeRows(sink, orgId, [{ ...entry, rowText: JSON.stringify(row) }])
    sink.log.error('request_row_refused', { org_id: orgId, request_id: entry.requestId, cause: String(cause) })
  }
}

/** Which of these calls are in the permanent record already. */
export async function bookedAmong({ db }: Sink, orgId: string, requestIds: readonly string[]): Promise<Set<string>> {
  const [{ and, eq, inArray }, { usageLedger }] = await Promise.all([import('drizzle-orm/sql'), import('./table.ts')])
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select({ id: usageLedger.request_id })
      .from(usageLedger)
      .where(and(eq(usageLedger.org_id, orgId), inArray(usageLedger.request_id, [...requestIds]))),
  ])
  return new Set(rows.map(({ id }) => id))
}

/** Written calls, those that are no longer open, and what monitoring limits of concurrency would have refused. */
type Counted = { entries: readonly OutboxEntry[]; closed: readonly string[]; shadows: ReadonlyMap<string, number> }

/**
 * Everything that may be lost without losing money: counters, token corrections, and who is no longer open. Where calls
 * were closed it tells how many are still listed as open.
 */
export async function writeCounters(
  { redis, now }: Sink & Pick<Deps, 'now'>,
  orgId: string,
  { entries, closed, shadows }: Counted,
): Promise<number | undefined> {
  const counters = new Map<string, number>()
  /** What an isolate refused may have been anybody's. */
  const platform = new Map<string, number>()
  const corrections = new Map<string, { delta: number; ttlSeconds: number }>()
  const measured: Measured[] = []
  for (const entry of entries) {
    const row: LedgerRow & Pick<Settlement, 'measured'> = JSON.parse(entry.rowText)
    measured.push(...(row.measured ?? []))
    for (const increment of countersOf(row)) add(counters, increment)
    for (const increment of entry.counters) add(platform, increment)
    for (const { key, delta, ttlSeconds = TOKEN_WINDOW_SECONDS } of entry.corrections) {
      corrections.set(key, { delta: (corrections.get(key)?.delta ?? 0) + delta, ttlSeconds })
    }
  }
  const commands: RedisCommand[] = []
  for (const [field, amount] of counters) {
    commands.push(['HINCRBY', metricsKey(), field, amount], ['HINCRBY', metricsKey(orgId), field, amount])
  }
  for (const [field, amount] of platform) commands.push(['HINCRBY', metricsKey(), field, amount])
  for (const [key, { delta, ttlSeconds }] of corrections) {
    if (delta !== 0) commands.push(['INCRBY', key, delta], ['EXPIRE', key, ttlSeconds])
  }
  const figures = figuresCommand(measured, now())
  if (figures) commands.push(figures)
  const shadow = limitKeys.shadow(orgId, now())
  for (const [id, amount] of shadows) commands.push(['HINCRBY', shadow, id, amount])
  if (shadows.size > 0) commands.push(['EXPIRE', shadow, SHADOW_SECONDS])
  if (closed.length > 0) commands.push(['HDEL', redisKeys.open(orgId), closed], ['HLEN', redisKeys.open(orgId)])
  const replies = commands.length > 0 ? await redis.pipeline(commands) : []
  return closed.length > 0 ? Number(replies.at(-1)) : undefined
}

function add(counters: Map<string, number>, [metric, labels, amount]: CounterIncrement): void {
  const field = `${metric}{${labels}}`
  counters.set(field, (counters.get(field) ?? 0) + amount)
}

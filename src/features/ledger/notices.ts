import { nowSeconds } from '../../core/clock.ts'
import type { Deps } from '../../core/context.ts'
import { usdFromNano } from '../../core/money.ts'
import type { RedisCommand } from '../../core/redis.ts'
import type { Book } from './book.ts'
import { metricsKey } from './flush.ts'
import type { LedgerStorage } from './storage.ts'

type Parts = {
  orgId: string
  book: Book
  storage: LedgerStorage
  deps: Pick<Deps, 'db' | 'redis' | 'log' | 'now' | 'newId'>
}

/** Tells of thresholds: the log at once, the audit log and the counters with the next flush. */
export function createNotices({ orgId, book, storage, deps }: Parts) {
  let waiting = storage.exec('select id from notices').length

  return {
    /** Takes down what the last settlements have reached. */
    take(): void {
      for (const { budget, percent, settledNanoUsd } of book.takePassed()) {
        const { id: budgetId, limitNanoUsd, window, soft } = budget
        const details = {
          percent,
          settled_usd: usdFromNano(settledNanoUsd),
          limit_usd: usdFromNano(limitNanoUsd),
          window,
          hard: !soft,
        }
        deps.log.warn('budget_threshold', { org_id: orgId, budget_id: budgetId, ...details })
        const created_at = nowSeconds(deps)
        const facts = { id: deps.newId('aud'), budget_id: budgetId, details, created_at }
        storage.exec('insert into notices (id, facts) values (?, ?)', facts.id, JSON.stringify(facts))
        waiting += 1
      }
    },

    waiting: () => waiting,

    /** Writes what waits to the audit log, once each. Throws `DependencyError('postgres')`. */
    async write(): Promise<void> {
      if (waiting === 0) return
      const rows = storage.exec('select id, facts from notices')
      await insert(deps, orgId, `[${rows.map(({ facts }) => String(facts)).join(',')}]`)
      for (const { id } of rows) storage.exec('delete from notices where id = ?', id ?? '')
      waiting -= rows.length
      const percents = rows.map(({ facts }) => Number(JSON.parse(String(facts)).details.percent))
      await deps.redis.pipeline(percents.flatMap((percent) => counted(orgId, percent))).catch((cause: unknown) => {
        deps.log.warn('ledger_counters_lost', { org_id: orgId, entries: rows.length, cause: String(cause) })
      })
    },
  }
}

const counted = (orgId: string, percent: number): RedisCommand[] =>
  [metricsKey(), metricsKey(orgId)].map((key) => [
    'HINCRBY',
    key,
    `helix_budget_thresholds_total{percent="${percent}"}`,
    1,
  ])

/** Looks before it inserts: a row that is refused as a duplicate would leave a gap in the chain of the audit log. */
async function insert({ db }: Pick<Deps, 'db'>, orgId: string, notices: string): Promise<void> {
  const { sql } = await import('drizzle-orm/sql')
  await db.atomically(orgId, (query) => [
    query.execute(
      sql`insert into audit_log (id, org_id, actor_kind, action, target_kind, target_id, details, created_at)
        select n.id, ${orgId}, 'system', 'budget.threshold', 'budget', n.budget_id, n.details, n.created_at
        from json_to_recordset(${notices}::json) as n(id text, budget_id text, details jsonb, created_at bigint)
        where not exists (select from audit_log a where a.org_id = ${orgId} and a.id = n.id)`,
    ),
  ])
}

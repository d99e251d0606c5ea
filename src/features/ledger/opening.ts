import type { Deps } from '../../core/context.ts'
import type { BudgetRef, LedgerRow } from '../../core/ledger.ts'
import { boundsOf, bucketOf, firstBucketOf } from '../../core/windows.ts'
import { namesOf } from '../budgets/service.ts'
import type { Book } from './book.ts'

/**
 * Whose budget it is, by the names that a row may have them by (the keys of a line, a run with all that it started), and
 * what the permanent record has of it by bucket.
 */
type Booked = { kind: string; names: readonly string[]; spent: Map<string, number> }

/** How many open budgets are looked at each time, whether they were deleted: an organisation may have thousands of runs. */
const LOOKED_AT = 500

type Parts = { orgId: string; book: Book; deps: Pick<Deps, 'db' | 'now'> }

/**
 * Opens budgets that this object does not count yet: their spending in the window now is what Postgres has and what
 * waits here on its way there. Nothing may be written to Postgres meanwhile. Budgets that were deleted are forgotten on
 * the occasion. Throws `DependencyError('postgres')`.
 */
export async function openBudgets({ orgId, book, deps }: Parts, budgets: readonly BudgetRef[]): Promise<void> {
  const except = book.unwritten().map(({ request_id }) => request_id)
  const nowMs = deps.now()
  const { booked, deleted } = await read(deps, orgId, { budgets, except, open: book.nextOpenIds(LOOKED_AT), nowMs })
  for (const id of deleted) book.drop(id)
  const waiting = book.unwritten()
  for (const budget of budgets) {
    const { spent, ...whose } = booked.get(budget.id) ?? { kind: '', names: [], spent: new Map<string, number>() }
    for (const row of waiting) if (counts(whose, row)) add(spent, budget, row)
    const first = firstBucketOf(budget.window, nowMs)
    book.open(budget, new Map([...spent].filter(([bucket]) => bucket >= first)), nowMs)
  }
}

function add(spent: Map<string, number>, { window }: BudgetRef, { created_at, cost_nanos }: LedgerRow): void {
  const bucket = bucketOf(window, created_at * 1000)
  spent.set(bucket, (spent.get(bucket) ?? 0) + cost_nanos)
}

/** The same rule as `COUNTS`. */
function counts({ kind, names }: Omit<Booked, 'spent'>, row: LedgerRow): boolean {
  const { provider, model, price_id: priceId } = row
  switch (kind) {
    case 'org':
      return true
    case 'model':
      return namesOf({ provider, model, priceId }).some((name) => names.includes(name))
    case 'key':
      return names.includes(row.key_id)
    case 'user':
      return names.includes(row.user_id ?? '')
    case 'agent':
      return names.includes(row.agent_id ?? '')
    case 'run':
      return names.includes(row.run_id ?? '')
    default:
      return false
  }
}

/** The names `names` of a budget `b`. */
const NAMES = `case b.subject_kind
    when 'key' then array(
      select k.id from api_keys k where k.org_id = b.org_id and k.root_id =
        (select o.root_id from api_keys o where o.org_id = b.org_id and o.id = b.subject_id)) || b.subject_id
    when 'run' then array(
      with recursive below (name) as (
        select b.subject_id
        union
        select r.subject_id from budgets r join below on r.org_id = b.org_id and r.subject_kind = 'run' and r.parent_id = below.name
      ) select name from below)
    else array[b.subject_id]
  end`

/**
 * The first row `l` that may count, in Unix seconds: no run was before its budget, whose time another clock may have
 * told.
 */
const SINCE = `greatest(w.since, case b.subject_kind when 'run' then b.created_at - 3600 else 0 end)`

/** Whether a row `l` counts in a budget `b`; names of models as `namesOf` has them. */
const COUNTS = `case b.subject_kind
    when 'org' then true
    when 'key' then l.key_id = any(n.names)
    when 'user' then l.user_id = any(n.names)
    when 'agent' then l.agent_id = any(n.names)
    when 'run' then l.run_id = any(n.names)
    when 'model' then b.subject_id in (
      l.model, l.provider || '/' || l.model, substring(l.model from '[^/]*$'), substring(l.price_id from '^(.*)@'),
      substring(substring(l.price_id from '^(.*)@') from '/(.*)$'),
      substring(substring(l.price_id from '^(.*)@') from '[^/]*$'))
    else false
  end`

const BUCKET = `case b."window"
    when 'total' then 'total'
    else to_char(to_timestamp(l.created_at) at time zone 'UTC', case b."window" when 'month' then 'YYYY-MM' else 'YYYY-MM-DD' end)
  end`

type Question = {
  budgets: readonly BudgetRef[]
  /** Calls that are counted elsewhere, by request id. */
  except: readonly string[]
  /** Budgets that may have been deleted. */
  open: readonly string[]
  nowMs: number
}

async function read({ db }: Pick<Deps, 'db'>, orgId: string, { budgets, except, open, nowMs }: Question) {
  const { sql } = await import('drizzle-orm/sql')
  const wanted = budgets.map(({ id, window }) => ({ id, since: sinceOf(window, nowMs) }))
  const [{ rows }, gone] = await db.atomically(orgId, (query) => [
    query.execute(
      sql`select b.id, b.subject_kind, n.names, s.bucket, s.nanos::text as nanos
        from json_to_recordset(${JSON.stringify(wanted)}::json) as w(id text, since bigint)
        join budgets b on b.id = w.id and b.org_id = ${orgId}
        cross join lateral (select ${sql.raw(NAMES)} as names) n
        left join lateral (
          select ${sql.raw(BUCKET)} as bucket, sum(l.cost_nanos) as nanos from usage_ledger l
          where l.org_id = ${orgId} and l.created_at >= ${sql.raw(SINCE)} and ${sql.raw(COUNTS)}
            and l.request_id not in (select json_array_elements_text(${JSON.stringify(except)}::json))
          group by 1
        ) s on true`,
    ),
    query.execute(
      sql`select id from budgets where org_id = ${orgId} and deleted_at is not null
        and id in (select json_array_elements_text(${JSON.stringify(open)}::json))`,
    ),
  ])
  const booked = new Map<string, Booked>()
  for (const row of rows) {
    const id = String(row.id)
    const known = booked.get(id)
    const names = Array.isArray(row.names) ? row.names.map(String) : []
    const one = known ?? { kind: String(row.subject_kind), names, spent: new Map() }
    if (row.bucket !== null) one.spent.set(String(row.bucket), Number(row.nanos))
    booked.set(id, one)
  }
  return { booked, deleted: gone.rows.map(({ id }) => String(id)) }
}

/** Unix seconds. */
const sinceOf = (window: BudgetRef['window'], nowMs: number): number => (boundsOf(window, nowMs)?.startMs ?? 0) / 1000

import type { Deps } from '../../core/context.ts'
import type { BudgetRef, LedgerRow } from '../../core/ledger.ts'
import { boundsOf, bucketOf, firstBucketOf } from '../../core/windows.ts'
import { namesOf } from '../budgets/service.ts'
import type { Book } from './book.ts'

/** Whose budget it is, and what the permanent record has of it by bucket. */
type Booked = { kind: string; subject: string; spent: Map<string, number> }

type Parts = { orgId: string; book: Book; deps: Pick<Deps, 'db' | 'now'> }

/**
 * Opens budgets that this object does not count yet: their spending in the window now is what Postgres has and what
 * waits here on its way there. Nothing may be written to Postgres meanwhile. Budgets that were deleted are forgotten on
 * the occasion. Throws `DependencyError('postgres')`.
 */
export async function openBudgets({ orgId, book, deps }: Parts, budgets: readonly BudgetRef[]): Promise<void> {
  const except = book.unwritten().map(({ request_id }) => request_id)
  const nowMs = deps.now()
  const { booked, deleted } = await read(deps, orgId, { budgets, except, open: book.openIds(), nowMs })
  for (const id of deleted) book.drop(id)
  const waiting = book.unwritten()
  for (const budget of budgets) {
    const { spent, ...whose } = booked.get(budget.id) ?? { kind: '', subject: '', spent: new Map<string, number>() }
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
function counts({ kind, subject }: Omit<Booked, 'spent'>, row: LedgerRow): boolean {
  const { provider, model, price_id: priceId } = row
  if (kind === 'model') return namesOf({ provider, model, priceId }).includes(subject)
  if (kind === 'key') return row.key_id === subject
  return kind === 'user' ? row.user_id === subject : kind === 'org'
}

/** Whether a row `l` counts in a budget `b`; names of models as `namesOf` has them. */
const COUNTS = `case b.subject_kind
    when 'org' then true
    when 'key' then l.key_id = b.subject_id
    when 'user' then l.user_id = b.subject_id
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
      sql`select b.id, b.subject_kind, b.subject_id, s.bucket, s.nanos::text as nanos
        from json_to_recordset(${JSON.stringify(wanted)}::json) as w(id text, since bigint)
        join budgets b on b.id = w.id and b.org_id = ${orgId}
        left join lateral (
          select ${sql.raw(BUCKET)} as bucket, sum(l.cost_nanos) as nanos from usage_ledger l
          where l.org_id = ${orgId} and l.created_at >= w.since and ${sql.raw(COUNTS)}
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
    const one = known ?? { kind: String(row.subject_kind), subject: String(row.subject_id), spent: new Map() }
    if (row.bucket !== null) one.spent.set(String(row.bucket), Number(row.nanos))
    booked.set(id, one)
  }
  return { booked, deleted: gone.rows.map(({ id }) => String(id)) }
}

/** Unix seconds. */
const sinceOf = (window: BudgetRef['window'], nowMs: number): number => (boundsOf(window, nowMs)?.startMs ?? 0) / 1000

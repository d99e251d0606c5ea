import type { Deps } from '../../core/context.ts'
import type { BudgetRef } from '../../core/ledger.ts'

/** How long what is known of a run is believed: a change of it is told, but what is told may get lost. */
const KNOWN_MS = 60_000
/** A run that is not there may be made at any moment. */
const UNKNOWN_MS = 5000
/** A run is read again behind its calls no more often than that. */
const AGAIN_MS = 10_000
const MAX_KNOWN = 20_000
const MAX_TRIES = 3

export type Run = { budget: BudgetRef; parentId: string | undefined; isOver: boolean }

/** The budgets of a run and of those above it. A run whose own budget was deleted is over: it holds nothing more. */
export type Chain = { budgets: readonly BudgetRef[]; isOver: boolean }

type Entry = { run: Run | undefined; dueMs: number }

/** A run and those above it, by name; empty for one that never was. Throws `DependencyError('postgres')`. */
export type ReadRuns = (runId: string) => Promise<ReadonlyMap<string, Run>>

/**
 * The runs of an organisation as its ledger knows them. They are of this life only: the first call that names one reads
 * it with all that are above it.
 */
export function createRuns(read: ReadRuns, now: () => number) {
  const entries = new Map<string, Entry>()
  /** What was forgotten while each of these readings was under way: it may have read what was before. */
  const readings = new Set<Set<string>>()
  const learning = new Map<string, Promise<void>>()

  const store = (runId: string, found: ReadonlyMap<string, Run>): void => {
    if (entries.size + found.size >= MAX_KNOWN) entries.clear()
    if (!found.has(runId)) entries.set(runId, { run: undefined, dueMs: now() + UNKNOWN_MS })
    for (const [id, run] of found) entries.set(id, { run, dueMs: now() + KNOWN_MS })
  }

  const chainOf = (runId: string): Chain | 'none' | undefined => {
    const budgets: BudgetRef[] = []
    for (let id: string | undefined = runId; id !== undefined; ) {
      const entry = entries.get(id)
      if (!entry || (!entry.run && entry.dueMs <= now())) return undefined
      if (!entry.run) return 'none'
      budgets.push(entry.run.budget)
      id = entry.run.parentId
    }
    return { budgets, isOver: entries.get(runId)?.run?.isOver === true }
  }

  const readAnew = async (runId: string): Promise<void> => {
    const forgotten = new Set<string>()
    readings.add(forgotten)
    try {
      for (;;) {
        forgotten.clear()
        const found = await read(runId)
        if (forgotten.has(runId) || [...found.keys()].some((id) => forgotten.has(id))) continue
        store(runId, found)
        return
      }
    } finally {
      readings.delete(forgotten)
    }
  }

  /** Reads a run, once for all who ask meanwhile. Throws `DependencyError('postgres')`. */
  const learn = (runId: string): Promise<void> => {
    const going = learning.get(runId) ?? readAnew(runId).finally(() => learning.delete(runId))
    learning.set(runId, going)
    return going
  }

  return {
    /** `none` where there never was such a run, and undefined where that must be learned first. */
    chainOf,

    /** Throws `DependencyError('postgres')`. */
    async resolve(runId: string): Promise<Chain | 'none'> {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const chain = chainOf(runId)
        if (chain) return chain
        await learn(runId)
      }
      throw new Error('the run kept changing')
    },

    /** Whether it is time to read a run again that is known; then nobody else is told so for a while. */
    isDue(runId: string): boolean {
      for (let id: string | undefined = runId; id !== undefined; ) {
        const entry = entries.get(id)
        if (!entry) return false
        if (entry.dueMs <= now()) {
          entry.dueMs = now() + AGAIN_MS
          return true
        }
        id = entry.run?.parentId
      }
      return false
    },

    learn,

    forget(runId: string): void {
      entries.delete(runId)
      for (const forgotten of readings) forgotten.add(runId)
    },
  }
}

/** Runs as Postgres has them, also those whose budget was deleted: calls of theirs may still have to be booked. */
export const readRuns =
  ({ db }: Pick<Deps, 'db'>, orgId: string): ReadRuns =>
  async (runId) => {
    const { sql } = await import('drizzle-orm/sql')
    const [{ rows }] = await db.atomically(orgId, (query) => [
      query.execute(
        sql`with recursive chain as (
            select b.* from budgets b where b.org_id = ${orgId} and b.subject_kind = 'run' and b.subject_id = ${runId}
            union
            select b.* from budgets b join chain c on b.org_id = c.org_id and b.subject_kind = 'run' and b.subject_id = c.parent_id
          )
          select id, subject_id, parent_id, limit_nanos::text, soft_percent, deleted_at is not null as is_over from chain`,
      ),
    ])
    return new Map(rows.map((row) => [String(row.subject_id), runOf(row)]))
  }

const runOf = (row: Readonly<Record<string, unknown>>): Run => ({
  budget: {
    id: String(row.id),
    window: 'total',
    limitNanoUsd: Number(row.limit_nanos),
    softPercent: Array.isArray(row.soft_percent) ? row.soft_percent.map(Number) : [],
  },
  parentId: row.parent_id === null ? undefined : String(row.parent_id),
  isOver: row.is_over === true,
})

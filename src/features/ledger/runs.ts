import type { Deps } from '../../core/context.ts'
import type { BudgetRef } from '../../core/ledger.ts'

/** How long what is known of a run is believed: a change of it is told, but what is told may get lost. */
const KNOWN_MS = 60_000
/** What is older than that by so much is read before a call may hold in it. */
const STALE_MS = 60_000
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
 * it with all that are above it. While Postgres is known to be away, what was known is not read again.
 */
export function createRuns(read: ReadRuns, now: () => number, isAway: () => boolean = () => false) {
  const entries = new Map<string, Entry>()
  /** What was forgotten while each of these readings was under way: it may have read what was before. */
  const readings = new Set<Set<string>>()
  const learning = new Map<string, Promise<void>>()

  const store = (runId: string, found: ReadonlyMap<string, Run>): void => {
    if (entries.size + found.size >= MAX_KNOWN) entries.clear()
    if (!found.has(runId)) entries.set(runId, { run: undefined, dueMs: now() + UNKNOWN_MS })
    for (const [id, run] of found) entries.set(id, { run, dueMs: now() + KNOWN_MS })
  }

  const isGood = ({ run, dueMs }: Entry): boolean => dueMs + (run ? STALE_MS : 0) > now()

  /** Of entries that pass; by any that there are it tells what was known last. */
  const chainBy = (runId: string, passes: (entry: Entry) => boolean): Chain | 'none' | undefined => {
    const budgets: BudgetRef[] = []
    for (let id: string | undefined = runId; id !== undefined; ) {
      const entry = entries.get(id)
      if (!entry || !passes(entry)) return undefined
      if (!entry.run) return 'none'
      budgets.push(entry.run.budget)
      id = entry.run.parentId
    }
    return { budgets, isOver: entries.get(runId)?.run?.isOver === true }
  }

  const chainOf = (runId: string) => chainBy(runId, isGood)

  /** A run that could not be read is known as before for a while, so that not every call waits for it. */
  const fallBack = (runId: string): Chain | undefined => {
    const chain = chainBy(runId, ({ run }) => run !== undefined)
    if (chain === undefined || chain === 'none') return undefined
    for (let id: string | undefined = runId; id !== undefined; id = entries.get(id)?.run?.parentId) {
      const entry = entries.get(id)
      if (entry) entry.dueMs = Math.max(entry.dueMs, now() - STALE_MS + AGAIN_MS)
    }
    return chain
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

    /** Throws `DependencyError('postgres')` where nothing was ever known of the run. */
    async resolve(runId: string): Promise<Chain | 'none'> {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const chain = chainOf(runId)
        const known = chain ?? (isAway() ? fallBack(runId) : undefined)
        if (known) return known
        try {
          await learn(runId)
        } catch (cause) {
          const before = fallBack(runId)
          if (before) return before
          throw cause
        }
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

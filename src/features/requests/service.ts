import type { Deps } from '../../core/context.ts'
import type { WaitingRequests } from '../../core/memory.ts'
import type { RequestRow } from '../../core/request-log.ts'

/** Rows of an organisation are gathered for this long, so that an isolate writes its rows once in that time. */
const GATHER_MS = 1000
/** Of so many in that time every one is kept; beyond it one in ten, and never more than the last figure. */
const ALL_UP_TO = 50
const SAMPLE_EVERY = 10
const MOST = 500
/** Whoever was to write them is gone: the platform ends what follows a response after 30 s. */
const ABANDONED_MS = 30_000

/**
 * Keeps the row of a request that settles nothing, such as a refused one: in memory, until a second's rows are written
 * together. What an isolate takes with it when it ends, or what Postgres does not take, is lost.
 */
export function noteRequest(deps: Deps, row: RequestRow, defer: (work: Promise<unknown>) => void): void {
  const { requests } = deps.memory
  const nowMs = deps.now()
  const known = requests.get(row.org_id)
  if (known && nowMs < known.dueMs + ABANDONED_MS) {
    if (isKept(deps, known)) known.rows.push(row)
    else known.leftOut += 1
    return
  }
  const waiting: WaitingRequests = {
    rows: [...(known?.rows ?? []), row],
    leftOut: known?.leftOut ?? 0,
    dueMs: nowMs + GATHER_MS,
  }
  requests.set(row.org_id, waiting)
  defer(writeLater(deps, row.org_id, waiting))
}

function isKept({ random }: Deps, { rows }: WaitingRequests): boolean {
  if (rows.length < ALL_UP_TO) return true
  return rows.length < MOST && random() < 1 / SAMPLE_EVERY
}

async function writeLater(deps: Deps, orgId: string, waiting: WaitingRequests): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, GATHER_MS))
  const { requests } = deps.memory
  // Given up as abandoned, and taken over by another request.
  if (requests.get(orgId) !== waiting) return
  requests.delete(orgId)
  const { rows, leftOut } = waiting
  if (leftOut > 0) deps.log.warn('requests_left_out', { org_id: orgId, rows: leftOut })
  try {
    const { requestLog } = await import('./table.ts')
    await deps.db.atomically(orgId, (query) => [query.insert(requestLog).values(rows).onConflictDoNothing()])
  } catch (cause) {
    deps.log.warn('requests_lost', { org_id: orgId, rows: rows.length, cause: String(cause) })
  }
}

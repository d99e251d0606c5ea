import type { Deps } from '../../core/context.ts'
import type { DecisionRow } from '../../core/decision.ts'
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
export function noteRequest(deps: Deps, noted: Noted, defer: (work: Promise<unknown>) => void): void {
  const { row } = noted
  const { requests } = deps.memory
  const nowMs = deps.now()
  const known = requests.get(row.org_id)
  if (known && nowMs < known.dueMs + ABANDONED_MS) {
    if (isKept(deps, known)) add(known, noted)
    else known.leftOut += 1
    return
  }
  const waiting: WaitingRequests = {
    rows: known?.rows ?? [],
    decisions: known?.decisions ?? [],
    leftOut: known?.leftOut ?? 0,
    dueMs: nowMs + GATHER_MS,
  }
  add(waiting, noted)
  requests.set(row.org_id, waiting)
  defer(writeLater(deps, row.org_id, waiting))
}

type Noted = { row: RequestRow; decision?: DecisionRow | undefined }

function add(waiting: WaitingRequests, { row, decision }: Noted): void {
  waiting.rows.push(row)
  if (decision) waiting.decisions.push(decision)
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
    const [{ requestLog }, decided] = await Promise.all([import('./table.ts'), storableDecisions(waiting)])
    await deps.db.atomically(orgId, (query) => [
      query.insert(requestLog).values(rows).onConflictDoNothing(),
      ...decided.map(({ table, rows: made }) => query.insert(table).values(made).onConflictDoNothing()),
    ])
  } catch (cause) {
    deps.log.warn('requests_lost', { org_id: orgId, rows: rows.length, cause: String(cause) })
  }
}

/** The decisions as Postgres takes them, if there are any: the name of a model may be any text. */
async function storableDecisions({ decisions }: WaitingRequests) {
  if (decisions.length === 0) return []
  const { decisions: table } = await import('../decisions/table.ts')
  const text = JSON.stringify(decisions, (_name, value: unknown) =>
    typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\ufffd') : value,
  )
  const rows: DecisionRow[] = JSON.parse(text)
  return [{ table, rows }]
}

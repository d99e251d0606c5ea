import { type HoldAnswer, type HoldRequest, mayHaveToWait, type OrgLedger } from '../core/ledger.ts'
import { LONGEST_WAIT_MS } from '../core/queue.ts'
import { objectCall } from './object-call.ts'

/** A ledger as its object is asked: what every call sends it travels as text, which costs less than its parts. */
export type LedgerObject = Omit<OrgLedger, 'hold'> & {
  /** A `HoldRequest` as JSON. */
  hold(request: string): Promise<HoldAnswer>
}

/** The part of a Durable Object namespace that is used here. */
export type LedgerNamespace = { getByName(name: string): LedgerObject }

const answered = <T>(call: () => Promise<T>, wait?: { waitMs: number }): Promise<T> => objectCall('ledger', call, wait)

/** Ledgers behind their Durable Objects. What an object throws, and its silence, is `DependencyError('ledger')`. */
export function createLedgers(namespace: LedgerNamespace): (orgId: string) => OrgLedger {
  return (orgId) => {
    const stub = () => namespace.getByName(orgId)
    return {
      hold: (request) => answered(() => stub().hold(JSON.stringify(request)), waitOf(request)),
      extend: (request) => answered(() => stub().extend(request)),
      release: (requestId, isLast) => answered(() => stub().release(requestId, isLast)),
      settle: (calls) => answered(() => stub().settle(calls)),
      spend: (budgets) => answered(() => stub().spend(budgets)),
      settledOn: (day) => answered(() => stub().settledOn(day)),
      forgetRun: (runId) => answered(() => stub().forgetRun(runId)),
    }
  }
}

/** A call that may have to wait for a place is answered when it has one. */
const waitOf = (request: HoldRequest): { waitMs: number } | undefined =>
  mayHaveToWait(request) ? { waitMs: LONGEST_WAIT_MS } : undefined

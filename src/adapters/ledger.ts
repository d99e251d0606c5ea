import type { OrgLedger } from '../core/ledger.ts'
import { objectCall } from './object-call.ts'

/** The part of a Durable Object namespace that is used here. */
export type LedgerNamespace = { getByName(name: string): OrgLedger }

const answered = <T>(call: () => Promise<T>): Promise<T> => objectCall('ledger', call)

/** Ledgers behind their Durable Objects. What an object throws, and its silence, is `DependencyError('ledger')`. */
export function createLedgers(namespace: LedgerNamespace): (orgId: string) => OrgLedger {
  return (orgId) => {
    const stub = () => namespace.getByName(orgId)
    return {
      hold: (request) => answered(() => stub().hold(request)),
      extend: (request) => answered(() => stub().extend(request)),
      release: (requestId, isLast) => answered(() => stub().release(requestId, isLast)),
      settle: (settlement) => answered(() => stub().settle(settlement)),
      spend: (budgets) => answered(() => stub().spend(budgets)),
      settledOn: (day) => answered(() => stub().settledOn(day)),
      forgetRun: (runId) => answered(() => stub().forgetRun(runId)),
    }
  }
}

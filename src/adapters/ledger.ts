import { DependencyError } from '../core/errors.ts'
import type { OrgLedger } from '../core/ledger.ts'

/** The part of a Durable Object namespace that is used here. */
export type LedgerNamespace = { getByName(name: string): OrgLedger }

const CALL_TIMEOUT_MS = 3000

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

/** Two of these are made for every call, so they are one promise each. */
function answered<T>(call: () => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const fail = (cause: unknown): void => {
      clearTimeout(timer)
      reject(new DependencyError('ledger', cause))
    }
    const silent = () => fail(new Error(`no answer within ${CALL_TIMEOUT_MS} ms`))
    const timer = setTimeout(silent, CALL_TIMEOUT_MS)
    try {
      call().then((answer) => {
        clearTimeout(timer)
        resolve(answer)
      }, fail)
    } catch (error) {
      fail(error)
    }
  })
}

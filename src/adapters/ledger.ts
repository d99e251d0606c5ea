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
      release: (requestId) => answered(() => stub().release(requestId)),
      settle: (settlement) => answered(() => stub().settle(settlement)),
    }
  }
}

async function answered<T>(call: () => Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${CALL_TIMEOUT_MS} ms`)), CALL_TIMEOUT_MS)
  })
  try {
    return await Promise.race([call(), silence])
  } catch (error) {
    throw new DependencyError('ledger', error)
  } finally {
    clearTimeout(timer)
  }
}

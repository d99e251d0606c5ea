import type { HoldAnswer, HoldRequest, OrgLedger } from '../../src/core/ledger.ts'

/** Of a ledger that leaves its isolates nothing: every call holds by itself. */
export const noCredit: Pick<OrgLedger, 'draw' | 'announce'> = {
  draw: (request: HoldRequest) => request,
  announce: async (): Promise<HoldAnswer> => ({ ok: true }),
}

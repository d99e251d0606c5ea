import type { ConcurrencyRef } from '../../core/ledger.ts'

/** Counts what runs at once under each concurrency limit: a hold is the lease, and its end gives the place back. */
export function createLeases() {
  const taken = new Map<string, number>()

  return {
    /** The first of these limits under which nothing more may run. */
    fullOf: (limits: readonly ConcurrencyRef[]): ConcurrencyRef | undefined =>
      limits.find(({ id, amount }) => (taken.get(id) ?? 0) >= amount),

    take(limits: readonly ConcurrencyRef[]): void {
      for (const { id } of limits) taken.set(id, (taken.get(id) ?? 0) + 1)
    },

    giveBack(limits: readonly ConcurrencyRef[]): void {
      for (const { id } of limits) {
        const left = (taken.get(id) ?? 0) - 1
        if (left > 0) taken.set(id, left)
        else taken.delete(id)
      }
    },
  }
}

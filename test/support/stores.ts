import { inject } from 'vitest'
import type { LocalStores } from './setup/local-stack.ts'

/** The Postgres and the Redis of this worker: files that run at the same time share no store. */
export function storesHere(): LocalStores {
  const stores = inject('storesByWorker')[Number(process.env.VITEST_POOL_ID) - 1]
  if (stores === undefined) throw new Error(`There are no stores for worker ${process.env.VITEST_POOL_ID}.`)
  return stores
}

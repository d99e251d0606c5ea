import type { ListedModel } from './models.ts'

/** An organisation's data key, ready for use; the runtime does not give its bytes out. Times in Unix seconds and ms. */
export type DataKey = { key: CryptoKey; version: number; createdAt: number; readMs: number }

/**
 * What one isolate remembers between requests: values only (a promise or a stream must not be shared between
 * requests on Workers), each of them a hint that a store can correct.
 */
export type Memory = {
  /** By target id: failures since its last success in this isolate. */
  failures: Map<string, number>
  /** By provider: the models it listed, for providers that have no catalog. */
  listings: Map<string, { models: readonly ListedModel[]; fetchedMs: number; failed: boolean; refreshing: boolean }>
  /** Counter increments of refused calls, waiting for the next settlement to carry them. */
  tallies: Map<string, number>
  /** Unwrapped data keys by `<organisation>:<version>`, and the newest by `<organisation>:newest`. */
  dataKeys: Map<string, DataKey>
}

export const createMemory = (): Memory => ({
  failures: new Map(),
  listings: new Map(),
  tallies: new Map(),
  dataKeys: new Map(),
})

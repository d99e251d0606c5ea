import type { Priority } from './routing.ts'

export type GateEntry = {
  /** Of one attempt of a call: nobody else has it. */
  ticket: string
  priority: Priority
  /** Calls at once behind the gate, as the caller's policy or the environment states it. */
  limit: number
  /** How long the call can wait; 0 wants an answer at once. */
  waitMs: number
  /** After that the place is free again, whether or not the call has left. */
  leaseMs: number
}

export type GateAnswer = { ok: true } | { ok: false; retryAfterMs: number }

/**
 * Stands before a node or an account that takes so many calls at once. Throws `DependencyError('gate')` when it cannot
 * be reached, and for a ticket that left while it waited.
 */
export type Gate = {
  /** Lets the call in, now or when its turn comes, or tells when to come back. Entering twice is entering once. */
  enter(entry: GateEntry): Promise<GateAnswer>
  /** Leaves, or gives up waiting; unknown tickets do nothing. */
  leave(ticket: string): Promise<void>
}

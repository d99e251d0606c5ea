import type { AccountSpec, Accounts } from './accounts.ts'
import type { ModelChanges, NodeClass, NodeFault, NodeLimits, NodeState } from './node.ts'
import type { Priority } from './routing.ts'

/** A killed caller's place is free again after so long; who works for longer renews. */
export const LONGEST_LEASE_MS = 180_000

export type GateEntry = {
  /** Of one attempt of a call: nobody else has it. */
  ticket: string
  /** Those who have the same one have one place together: it is free when the last of them has left. */
  seat?: string | undefined
  /** Who waits behind the bound of one class keeps nobody of another waiting. An account has but one: `chat`. */
  class: NodeClass
  priority: Priority
  /** Calls at once behind the gate, as the caller's policy or the environment states them. */
  limits: NodeLimits
  /** How long the call can wait; 0 wants an answer at once. */
  waitMs: number
  /** After that the place is free again, whether or not the call has left. */
  leaseMs: number
}

export type GateAnswer = { ok: true } | { ok: false; retryAfterMs: number }

/** How to reach a node; its credential stays sealed until the object behind the gate opens it. Plain data. */
export type WatchTarget =
  /** The installation's own, from the environment. */
  'shared' | { orgId: string; account: AccountSpec; dataKeys: Accounts['dataKeys'] }

/** One look at a node: the watch keeps those of a day. */
export type NodeLook = {
  /** Unix milliseconds. */
  atMs: number
  /** Until the first answer; undefined when there was none. */
  latencyMs: number | undefined
  fault: NodeFault | undefined
  /** Calls inside and waiting at that time. */
  inFlight: number
  waiting: number
}

export type LookWanted = {
  /** How the node is reached as of now; without it, as it was when somebody told it last. */
  target?: WatchTarget | undefined
  /** What was seen so long ago is good enough; 0 looks anew, and lists the models anew. */
  maxAgeMs: number
}

/** What the watch knows, and since the list before this look what happened to the models. */
export type Looked = NodeState & { changes?: ModelChanges | undefined }

/**
 * Stands before a node or an account that takes so many calls at once. Throws `DependencyError('gate')` when it cannot
 * be reached, and for a ticket that left while it waited.
 */
export type Gate = {
  /** Lets the call in, now or when its turn comes, or tells when to come back. Entering twice is entering once. */
  enter(entry: GateEntry): Promise<GateAnswer>
  /** Keeps the place for so long from now; false when it is no longer held. */
  renew(ticket: string, leaseMs: number): Promise<boolean>
  /** Leaves, or gives up waiting; unknown tickets do nothing. */
  leave(ticket: string): Promise<void>
  /** How the node behind it does. From now on it is watched, for an hour. Never throws for what the node does. */
  look(wanted: LookWanted): Promise<Looked>
  /** The looks of the last day, the oldest first. */
  history(): Promise<readonly NodeLook[]>
  /** The node behind it is no more: how it was reached is forgotten, and nobody tells it again. */
  forget(): Promise<void>
}

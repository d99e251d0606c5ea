import { DurableObject } from 'cloudflare:workers'
import type { Gate, GateEntry } from '../../src/core/gate.ts'
import { createGate, unseen } from '../../src/features/gates/service.ts'

type Env = Record<string, unknown>

/** Cloudflare's shell around the gate before one node or account; the object's name is the node's, or the account's id. */
export class NodeGate extends DurableObject<Env> implements Gate {
  readonly #gate: ReturnType<typeof createGate>

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.#gate = createGate({
      exec: (statement, ...values) =>
        state.storage.sql.exec<Record<string, string | number | null>>(statement, ...values).toArray(),
      now: () => Date.now(),
    })
  }

  enter(entry: GateEntry) {
    return this.#gate.enter(entry)
  }

  renew(ticket: string, leaseMs: number) {
    return this.#gate.renew(ticket, leaseMs)
  }

  leave(ticket: string) {
    return this.#gate.leave(ticket)
  }

  async look() {
    return unseen(this.#gate.occupancy())
  }

  async history() {
    return []
  }
}

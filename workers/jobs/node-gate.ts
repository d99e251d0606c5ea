import { DurableObject } from 'cloudflare:workers'
import { createLog } from '../../src/adapters/log.ts'
import type { Gate, GateEntry, LookWanted } from '../../src/core/gate.ts'
import { createNodeWatchDeps } from '../../src/deps.ts'
import { ConfigurationError, parseNodeWatchEnv } from '../../src/env.ts'
import { createGate, createWatch, type Exec, linkTo, unseen } from '../../src/features/gates/service.ts'

type Env = Record<string, unknown>

/**
 * Cloudflare's shell around the gate before one node or account, and the watch over a node; the object's name is the
 * node's id, or the account's.
 */
export class NodeGate extends DurableObject<Env> implements Gate {
  readonly #gate: ReturnType<typeof createGate>
  readonly #state: DurableObjectState
  readonly #exec: Exec
  #watch: ReturnType<typeof createWatch> | undefined
  #alarmMs: number | undefined

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    this.#state = state
    this.#exec = (statement, ...values) =>
      state.storage.sql.exec<Record<string, string | number | null>>(statement, ...values).toArray()
    void state.blockConcurrencyWhile(async () => {
      this.#alarmMs = (await state.storage.getAlarm()) ?? undefined
    })
    this.#gate = createGate({ exec: this.#exec, now: () => Date.now() })
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

  async look(wanted: LookWanted) {
    return this.#watching()?.look(wanted) ?? unseen(this.#gate.occupancy())
  }

  async history() {
    return this.#watching()?.history() ?? []
  }

  async forget() {
    await this.#watching()?.forget()
  }

  override async alarm() {
    this.#alarmMs = undefined
    await this.#watching()?.wake()
  }

  /** Made when somebody looks: an account's gate needs none, and places are given where the environment lacks what it takes. */
  #watching(): ReturnType<typeof createWatch> | undefined {
    this.#watch ??= this.#begin()
    return this.#watch
  }

  #begin(): ReturnType<typeof createWatch> | undefined {
    try {
      const deps = createNodeWatchDeps(parseNodeWatchEnv(this.env))
      return createWatch({
        ...deps,
        exec: this.#exec,
        alarm: {
          currentMs: () => this.#alarmMs,
          set: (atMs) => {
            this.#alarmMs = atMs
            void this.#state.storage.setAlarm(atMs)
          },
        },
        intervalMs: deps.settings.healthIntervalMs,
        linkOf: (target) => linkTo(deps, target),
        occupancy: () => this.#gate.occupancy(),
        background: (work) => this.#state.waitUntil(work),
      })
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error
      createLog('error', Date.now).error('nodes_not_watched', { problems: error.problems })
      return undefined
    }
  }
}

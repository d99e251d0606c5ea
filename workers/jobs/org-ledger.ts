import { DurableObject } from 'cloudflare:workers'
import type { LedgerObject } from '../../src/adapters/ledger.ts'
import type { BudgetRef, Drawn, ExtendRequest, HoldRequest, SettledCall, Settlement } from '../../src/core/ledger.ts'
import { createLedgerDeps } from '../../src/deps.ts'
import { parseLedgerEnv } from '../../src/env.ts'
import {
  createOrgLedger,
  holdRequestOf,
  type LedgerStorage,
  settledCallsOf,
} from '../../src/features/ledger/service.ts'

type Env = Record<string, unknown>

/** Cloudflare's shell around the ledger of one organisation; the object's name is the organisation's id. */
export class OrgLedger extends DurableObject<Env> implements LedgerObject {
  readonly #ledger: ReturnType<typeof createOrgLedger>
  #alarmMs: number | undefined

  constructor(state: DurableObjectState, env: Env) {
    super(state, env)
    const settings = parseLedgerEnv(env)
    void state.blockConcurrencyWhile(async () => {
      this.#alarmMs = (await state.storage.getAlarm()) ?? undefined
    })
    this.#ledger = createOrgLedger({
      orgId: state.id.name ?? '',
      storage: storageOf(state.storage),
      alarm: {
        currentMs: () => this.#alarmMs,
        set: (atMs) => {
          this.#alarmMs = atMs
          void state.storage.setAlarm(atMs)
        },
      },
      deps: createLedgerDeps(settings),
      graceMs: settings.holdGraceMs,
      background: (work) => state.waitUntil(work),
    })
  }

  hold(request: string | HoldRequest) {
    return this.#ledger.hold(holdRequestOf(request))
  }

  extend(request: ExtendRequest) {
    return this.#ledger.extend(request)
  }

  release(requestId: string, isLast?: boolean, drawn?: Drawn) {
    return this.#ledger.release(requestId, isLast, drawn)
  }

  settle(calls: readonly SettledCall[] | Settlement) {
    return this.#ledger.settle(settledCallsOf(calls))
  }

  spend(budgets: readonly BudgetRef[]) {
    return this.#ledger.spend(budgets)
  }

  settledOn(day: string) {
    return this.#ledger.settledOn(day)
  }

  forgetRun(runId: string) {
    return this.#ledger.forgetRun(runId)
  }

  override async alarm() {
    this.#alarmMs = undefined
    await this.#ledger.wake()
  }
}

const storageOf = (storage: DurableObjectStorage): LedgerStorage => ({
  exec: (statement, ...values) =>
    storage.sql.exec<Record<string, string | number | null>>(statement, ...values).toArray(),
  transaction: (work) => storage.transactionSync(work),
})

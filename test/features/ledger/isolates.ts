import { createLedgers, type LedgerObject } from '../../../src/adapters/ledger.ts'
import type { BudgetRef, HoldAnswer, HoldRequest, LedgerBooks, OrgLedger } from '../../../src/core/ledger.ts'
import { holdOf, settlementOf, settleOne } from './calls.ts'
import { ledgerWorld } from './world.ts'

/** What becomes of the next call of the object. */
export type Fault = 'none' | 'not asked' | 'not told'
/** What becomes of the script that lists a call: a late one answers nobody, and does its work all the same. */
export type Listing = 'prompt' | 'late' | 'never'

/** `aheadMs` is how far its clock is before the object's. */
export type Isolate = { ledger: OrgLedger; aheadMs: number }
export type Call = {
  request: HoldRequest
  isolate: Isolate
  amountNanoUsd: number
  /** As far as it was not told it may hold more than it knows. */
  mostNanoUsd: number
  isListed: boolean
  /** Nothing that survives the object tells of it any more, should its isolate die, too. */
  isForgotten: boolean
}

/** More than anybody is left: whoever draws so much is counted as busy, and gets nothing. */
const TOO_MUCH = Number.MAX_SAFE_INTEGER
const BUSY_CALLS = 20
const TRIES = 3

/**
 * Isolates before the object of one organisation, as admission has them ask it, and beside it what is true of their
 * calls whatever the books say: which run, which were lost, which cost nothing because they never ran.
 */
export function isolatesWorld(budgets: readonly BudgetRef[]) {
  const world = ledgerWorld()
  const faults: Fault[] = []
  const late: Call[] = []
  const running = new Map<string, Call>()
  const killed = new Map<string, Call>()
  /** True for those of whose end the ledger has heard. */
  const withdrawn = new Map<string, boolean>()
  const settled = new Map<string, number>()
  let made = 0
  let crashes = 0

  const through = async <T>(work: () => Promise<T>): Promise<T> => {
    const fault = faults.shift() ?? 'none'
    if (fault === 'not asked') throw new Error(fault)
    const answer = await work()
    if (fault === 'not told') throw new Error(fault)
    return answer
  }
  const books = (): LedgerBooks => world.ledger
  const object: LedgerObject = {
    hold: (text) => through(() => books().hold(JSON.parse(text))),
    extend: (request) => through(() => books().extend(structuredClone(request))),
    release: (...given) => through(() => books().release(...structuredClone(given))),
    settle: (calls) => through(() => books().settle(structuredClone(calls))),
    spend: (asked) => books().spend(asked),
    settledOn: (day) => books().settledOn(day),
    forgetRun: (runId) => books().forgetRun(runId),
  }
  const isolate = (aheadMs = 0): Isolate => {
    const clock = { aheadMs }
    const ledger = createLedgers({ getByName: () => object }, () => world.state.nowMs + clock.aheadMs)('org_1')
    return Object.assign(clock, { ledger })
  }

  const list = (call: Call, hold: HoldRequest): void => {
    if (world.state.redisAway) return
    world.state.open.set(hold.facts.request_id, JSON.stringify(hold))
    call.isListed = true
  }

  const withdraw = async (id: string, { ledger }: Isolate, isLast?: true): Promise<void> => {
    const isTold = await ledger.release(id, isLast).then(
      () => true,
      () => false,
    )
    withdrawn.set(id, isTold)
  }

  return {
    world,
    faults,
    running,
    killed,
    withdrawn,
    settled,
    isolate,

    /** So many calls in a second that its next hold wishes for credit. */
    makeBusy({ ledger }: Isolate): void {
      for (let at = 0; at < BUSY_CALLS; at++) {
        ledger.draw(holdOf('busy', { budgets, amountNanoUsd: TOO_MUCH }))
      }
    },

    /** Admits a call as admission does; undefined for one that is not. */
    async start(
      by: Isolate,
      { amountNanoUsd, lifeMs, listing = 'prompt' }: { amountNanoUsd: number; lifeMs: number; listing?: Listing },
    ): Promise<Call | undefined> {
      made += 1
      const id = `r${String(made).padStart(6, '0')}`
      const deadlineMs = world.state.nowMs + by.aheadMs + lifeMs
      const request = holdOf(id, { budgets, amountNanoUsd, deadlineMs })
      const call: Call = {
        request,
        isolate: by,
        amountNanoUsd,
        mostNanoUsd: amountNanoUsd,
        isListed: false,
        isForgotten: false,
      }
      const hold = by.ledger.draw(request)
      if (listing === 'prompt') list(call, hold)
      let held = await answerOf(by.ledger.hold(hold))
      if (!call.isListed) {
        if (listing === 'late') late.push({ ...call, request: hold })
        if (hold.creditId !== undefined) held = await answerOf(by.ledger.announce(id))
        held ??= await answerOf(by.ledger.hold(request))
      }
      if (held?.ok) {
        running.set(id, call)
        return call
      }
      if (!call.isListed || held === undefined) await withdraw(id, by, true)
      else withdrawn.set(id, true)
      if (!world.state.redisAway && call.isListed) world.state.open.delete(id)
      return undefined
    },

    async settle(id: string, costNanoUsd: number): Promise<void> {
      const call = running.get(id)
      if (!call) return
      for (let tries = 0; tries <= TRIES; tries++) {
        if (tries === TRIES) faults.length = 0
        try {
          await settleOne(call.isolate.ledger, settlementOf(id, costNanoUsd, budgets))
          break
        } catch {}
      }
      running.delete(id)
      settled.set(id, costNanoUsd)
    },

    async extend(id: string, amountNanoUsd: number): Promise<void> {
      const call = running.get(id)
      if (!call) return
      const answer = await answerOf(call.isolate.ledger.extend({ requestId: id, amountNanoUsd, budgets }))
      if (answer?.ok) call.amountNanoUsd += amountNanoUsd
      if (answer?.ok !== false) call.mostNanoUsd += amountNanoUsd
    },

    /** It ends before it was made: something else could answer it. */
    async release(id: string): Promise<void> {
      const call = running.get(id)
      if (!call) return
      running.delete(id)
      await withdraw(id, call.isolate)
    },

    kill(id: string): void {
      const call = running.get(id)
      if (!call) return
      running.delete(id)
      killed.set(id, call)
    },

    crash(): void {
      crashes += 1
      for (const call of [...running.values(), ...killed.values()]) if (!call.isListed) call.isForgotten = true
      // Who is on the list is taken for lost, for nothing else is left of them.
      const listed = [...world.state.open.keys(), ...late.map(({ request }) => request.facts.request_id)]
      for (const id of listed) if (withdrawn.has(id)) withdrawn.set(id, false)
      world.crash()
    },

    /** What Redis was asked long ago comes true. */
    listLate(): void {
      for (const call of late.splice(0)) {
        const id = call.request.facts.request_id
        list(running.get(id) ?? killed.get(id) ?? call, call.request)
        if (crashes > 0 && withdrawn.has(id)) withdrawn.set(id, false)
      }
    },
  }
}

const answerOf = (asking: Promise<HoldAnswer>): Promise<HoldAnswer | undefined> => asking.catch(() => undefined)

import {
  type Credit,
  type HoldAnswer,
  type HoldRequest,
  type LedgerBooks,
  mayHaveToWait,
  type OrgLedger,
  type SettledCall,
} from '../core/ledger.ts'
import { LONGEST_WAIT_MS } from '../core/queue.ts'
import { type CreditLines, createCreditLines, type Wishing } from './credit-line.ts'
import { objectCall } from './object-call.ts'

/** A ledger as its object is asked: what every call sends it travels as text, which costs less than its parts. */
export type LedgerObject = Omit<LedgerBooks, 'hold'> & {
  /** A `HoldRequest` as JSON. */
  hold(request: string): Promise<HoldAnswer>
}

/** The part of a Durable Object namespace that is used here. */
export type LedgerNamespace = { getByName(name: string): LedgerObject }

/** Of more organisations than this an isolate makes the ways to their ledgers anew. */
const MOST_LEDGERS = 1000

const answered = <T>(call: () => Promise<T>, wait?: { waitMs: number }): Promise<T> => objectCall('ledger', call, wait)

/**
 * Ledgers behind their Durable Objects, which leave a busy isolate credit: then most of its calls hold by that. What an
 * object throws, and its silence, is `DependencyError('ledger')`.
 */
export function createLedgers(namespace: LedgerNamespace, now: () => number): (orgId: string) => OrgLedger {
  const lines = createCreditLines(now)
  const ledgers = new Map<string, OrgLedger>()
  const make = (orgId: string): OrgLedger => {
    const stub = () => namespace.getByName(orgId)
    const ask = (request: HoldRequest): Promise<HoldAnswer> =>
      answered(() => stub().hold(JSON.stringify(request)), waitOf(request))
    const announce = (requestId: string) => announced(lines, requestId, ask)
    return {
      draw: lines.draw,
      hold: (request) => held(lines, request, ask),
      announce,
      async extend(request) {
        // What a call holds by credit nobody knows there: it cannot grow.
        if (lines.drawnBy(request.requestId)) {
          const answer = await announce(request.requestId)
          if (!answer.ok) return refusedFor(request, answer)
        }
        return answered(() => stub().extend(request))
      },
      release(requestId, isLast) {
        const drawn = lines.drawnBy(requestId)
        lines.forget(requestId)
        return answered(() => (drawn ? stub().release(requestId, isLast, drawn) : stub().release(requestId, isLast)))
      },
      async settle(calls) {
        const booked = await answered(() => stub().settle(withDrawn(lines, calls)))
        for (const { request_id } of calls) lines.forget(request_id)
        return booked
      },
      spend: (budgets) => answered(() => stub().spend(budgets)),
      settledOn: (day) => answered(() => stub().settledOn(day)),
      forgetRun: (runId) => answered(() => stub().forgetRun(runId)),
    }
  }
  // Each call asks for its ledger three times.
  return (orgId) => {
    const known = ledgers.get(orgId)
    if (known) return known
    if (ledgers.size >= MOST_LEDGERS) ledgers.clear()
    const ledger = make(orgId)
    ledgers.set(orgId, ledger)
    return ledger
  }
}

type Ask = (request: HoldRequest) => Promise<HoldAnswer>

/** A call that drew on credit holds already. */
function held(lines: CreditLines, request: HoldRequest, ask: Ask): Promise<HoldAnswer> {
  if (request.creditId !== undefined) return Promise.resolve({ ok: true })
  const wishing = lines.wishFor(request)
  return wishing ? withWish(request, wishing, ask) : ask(request)
}

async function withWish(request: HoldRequest, { wish, take }: Wishing, ask: Ask): Promise<HoldAnswer> {
  let credit: Credit | undefined
  try {
    const answer = await ask({ ...request, wish })
    if (answer.ok) credit = answer.credit
    return answer
  } finally {
    take(credit)
  }
}

async function announced(lines: CreditLines, requestId: string, ask: Ask): Promise<HoldAnswer> {
  const call = lines.callOf(requestId)
  if (!call) return { ok: true }
  const answer = await ask(call)
  if (answer.ok) lines.forget(requestId)
  return answer
}

/** What is booked for a call on its way is covered by what that drew. */
const withDrawn = (lines: CreditLines, calls: readonly SettledCall[]): readonly SettledCall[] =>
  calls.map((call) => {
    const own = lines.drawnBy(call.request_id)
    if (own) return { ...call, drawn: own }
    const parent = call.parent_request_id == null ? undefined : lines.drawnBy(call.parent_request_id)
    return parent ? { ...call, drawn: { ...parent, nanoUsd: 0 } } : call
  })

const refusedFor = ({ budgets }: { budgets: readonly { id: string }[] }, answer: HoldAnswer & { ok: false }) =>
  'budgetId' in answer ? answer : { ok: false as const, budgetId: budgets[0]?.id ?? '', remainingNanoUsd: 0 }

/** A call that may have to wait for a place is answered when it has one. */
const waitOf = (request: HoldRequest): { waitMs: number } | undefined =>
  mayHaveToWait(request) ? { waitMs: LONGEST_WAIT_MS } : undefined

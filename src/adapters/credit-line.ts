import { CREDIT_MS, type Credit, type CreditWish, type Drawn, type HoldRequest } from '../core/ledger.ts'

/** An isolate that makes fewer calls a second than this for the same budgets asks the ledger for each of them. */
const BUSY_CALLS = 20
const SECOND_MS = 1000

/** It wishes to have as much as this many calls like the one that it holds for. */
const CALLS_AHEAD = 32

/** A wish that has no answer after so long never gets one. */
const ASKED_MS = 5000
/** Whoever is left nothing asks again after so long. */
const DENIED_MS = 1000

/** Events come in a slightly different order than their times. A clock that goes back further was put back. */
const UNORDERED_MS = 500

const MOST_LINES = 1000
/** With so many calls, or twice as many as were left the last time, those are forgotten that cannot be alive any more. */
const MOST_CALLS = 5000
const OVER_MS = 60_000

type Line = {
  /** Calls in the second that began at `sinceMs`, and in the one before. */
  sinceMs: number
  calls: number
  before: number
  /** Nobody wishes for credit before: somebody waits for an answer to that, or has just had none. */
  notBeforeMs: number
  credit: (Credit & { untilMs: number }) | undefined
}

export type Wishing = { wish: CreditWish; take: (credit: Credit | undefined) => void }

export type CreditLines = ReturnType<typeof createCreditLines>

/**
 * What one isolate was left by the ledgers, by the budgets in which it is held. Calls draw on it while it lasts, and only
 * the ledger gives back what they drew.
 */
export function createCreditLines(now: () => number) {
  const lines = new Map<string, Line>()
  const drawn = new Map<string, HoldRequest & { creditId: string }>()
  let latestMs = Number.NEGATIVE_INFINITY

  /** By a clock that was put back credit would last longer than the ledger holds it. */
  const time = (): number => {
    const nowMs = now()
    if (nowMs < latestMs - UNORDERED_MS) {
      lines.clear()
      latestMs = nowMs
    }
    latestMs = Math.max(latestMs, nowMs)
    return nowMs
  }

  let mostCalls = MOST_CALLS

  const lineOf = (request: HoldRequest, nowMs: number): Line | undefined => {
    const name = nameOf(request)
    if (name === undefined) return undefined
    const known = lines.get(name)
    if (known) return known
    if (lines.size >= MOST_LINES) lines.clear()
    const line: Line = { sinceMs: nowMs, calls: 0, before: 0, notBeforeMs: 0, credit: undefined }
    lines.set(name, line)
    return line
  }

  const count = (line: Line, nowMs: number): void => {
    const seconds = Math.floor((nowMs - line.sinceMs) / SECOND_MS)
    if (seconds !== 0) {
      line.before = seconds === 1 ? line.calls : 0
      line.calls = 0
      line.sinceMs = nowMs
    }
    line.calls += 1
  }

  const forgetOver = (nowMs: number): void => {
    for (const [id, { deadlineMs }] of drawn) if (deadlineMs + OVER_MS < nowMs) drawn.delete(id)
    mostCalls = Math.max(MOST_CALLS, 2 * drawn.size)
  }

  return {
    draw(request: HoldRequest): HoldRequest {
      const nowMs = time()
      const line = lineOf(request, nowMs)
      if (!line) return request
      count(line, nowMs)
      const { credit } = line
      const { facts, amountNanoUsd, deadlineMs } = request
      if (!credit || credit.nanoUsd < amountNanoUsd || nowMs >= credit.untilMs || deadlineMs > credit.deadlineMs) {
        return request
      }
      credit.nanoUsd -= amountNanoUsd
      if (drawn.size >= mostCalls) forgetOver(nowMs)
      const held = { ...request, creditId: credit.id }
      drawn.set(facts.request_id, held)
      return held
    },

    /** What to wish for beside this hold, and where to bring what comes of it; undefined for an isolate with little to do. */
    wishFor(request: HoldRequest): Wishing | undefined {
      const nowMs = time()
      const line = lineOf(request, nowMs)
      if (!line || Math.max(line.calls, line.before) < BUSY_CALLS || nowMs < line.notBeforeMs) return undefined
      line.notBeforeMs = nowMs + ASKED_MS
      const { credit: had } = line
      const lackedNanoUsd = Math.max(0, request.amountNanoUsd * CALLS_AHEAD - (had?.nanoUsd ?? 0))
      const wish = { nanoUsd: lackedNanoUsd, ...(had && { creditId: had.id }) }
      return {
        wish,
        take(credit) {
          line.notBeforeMs = credit ? 0 : now() + DENIED_MS
          if (!credit) return
          const left = credit.id === line.credit?.id ? line.credit.nanoUsd : 0
          line.credit = { ...credit, nanoUsd: left + credit.nanoUsd, untilMs: nowMs + CREDIT_MS }
        },
      }
    },

    callOf: (requestId: string) => drawn.get(requestId),
    drawnBy: (requestId: string): Drawn | undefined => drawnOf(drawn.get(requestId)),
    forget: (requestId: string): void => void drawn.delete(requestId),
  }
}

const drawnOf = (call: (HoldRequest & { creditId: string }) | undefined): Drawn | undefined =>
  call && { creditId: call.creditId, nanoUsd: call.amountNanoUsd }

/** The hard budgets of a call that holds money and nothing else; a run's are known to the ledger alone. */
function nameOf({ facts, budgets, concurrency, places }: HoldRequest): string | undefined {
  if (facts.run_id !== null || concurrency || places) return undefined
  let name = ''
  for (const { soft, id, limitNanoUsd } of budgets) if (!soft) name += ` ${id}:${limitNanoUsd}`
  return name === '' ? undefined : facts.org_id + name
}

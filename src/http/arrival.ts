import type { Policy } from '../core/admission.ts'
import { secondsOf } from '../core/clock.ts'
import type { Deps } from '../core/context.ts'
import { type DecisionRow, decisionRow } from '../core/decision.ts'
import { type Arrival, type RequestRow, requestRow } from '../core/request-log.ts'
import { addressOf } from './credential.ts'
import type { Exchange } from './exchange.ts'
import type { Route } from './route.ts'
import { countedBody, lengthOf } from './whole.ts'

/** What nothing else writes down of a request; `decision` is of a call of a model that was refused. */
export type Noted = { row: RequestRow; decision?: DecisionRow | undefined }

/** Keeps it. Takes no time of its caller's. */
export type Note = (deps: Deps, noted: Noted, defer: Exchange['defer']) => void

const LENGTH = /^\d{1,15}$/

/** Follows a request from its arrival to its answer, for the log of requests. */
export function watchArrival(deps: Deps, note: Note | undefined, around: { route: Route; exchange: Exchange }) {
  const { route, exchange } = around
  const { request, requestId, clientRequestId, startedMs, defer } = exchange
  const begun = Promise.withResolvers<Awaited<Arrival['response']>>()
  const length = request.headers.get('content-length')
  const arrival: Arrival = {
    requestId,
    method: request.method,
    path: route.path,
    ip: addressOf(request),
    userAgent: request.headers.get('user-agent'),
    clientRequestId,
    bytesIn: length !== null && LENGTH.test(length) ? Number(length) : null,
    response: begun.promise,
    isBooked: false,
  }
  let policy: Policy | undefined

  /** What the response begins with: whoever books the call waits for that. Gives back its length, if it has one. */
  const answered = (response: Response): number | null => {
    // Nothing of a body follows what HEAD is answered.
    const bytesOut = request.method === 'HEAD' ? 0 : lengthOf(response)
    begun.resolve({ statusCode: response.status, bytesOut })
    return bytesOut
  }

  return {
    arrival,
    /** Whose it is. */
    known(caller: Policy): void {
      policy = caller
    },
    answered,
    /** The response as it leaves. Written down, once it has left, unless it is with the call, or nobody's. */
    close(response: Response, errorCode: string | null = null): Response {
      const length = answered(response)
      if (!note || !policy || arrival.isBooked) return response
      const { status: statusCode, body } = response
      if (!isLogged(policy, statusCode)) return response
      const ended = { policy, statusCode, errorCode }
      const write = (bytesOut: number | null): void => {
        const nowMs = deps.now()
        const [durationMs, nowSeconds] = [nowMs - startedMs, secondsOf(nowMs)]
        const row = requestRow(arrival, { ...ended, bytesOut, durationMs, nowSeconds })
        note(deps, { row, decision: refusedDecision(arrival, { ...ended, nowSeconds }) }, defer)
      }
      if (length !== null || body === null) {
        write(length)
        return response
      }
      const read = Promise.withResolvers<number>()
      // Registered now: after the last byte it would be too late to ask for time.
      defer(read.promise.then(write))
      return new Response(countedBody(body, read.resolve), response)
    },
  }
}

/** Names the decision of a call of a model, so that its caller can read why it went where it went. */
export const decisionHeader = ({ decision }: Arrival): Readonly<Record<string, string>> =>
  decision ? { 'x-helix-decision-id': decision.id } : {}

/** Of a call that nobody books: it ended before a target was asked. */
function refusedDecision(
  { decision, requestId }: Arrival,
  { policy, errorCode, nowSeconds }: { policy: Policy; errorCode: string | null; nowSeconds: number },
): DecisionRow | undefined {
  const outcome = errorCode === 'internal' ? 'error' : 'refused'
  return decision && decisionRow(decision, { requestId, policy, outcome, nowSeconds })
}

/** A 401 is of nobody, and whoever reads the metrics of the platform is of no organisation. */
const isLogged = ({ kind }: Policy, status: number): boolean => status !== 401 && kind !== 'scraper'

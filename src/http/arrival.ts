import type { Policy } from '../core/admission.ts'
import { secondsOf } from '../core/clock.ts'
import type { Deps } from '../core/context.ts'
import { type Arrival, type RequestRow, requestRow } from '../core/request-log.ts'
import { addressOf } from './credential.ts'
import type { Exchange } from './exchange.ts'
import type { Route } from './route.ts'

/** Keeps the row of a request that nothing else writes down. Takes no time of its caller's. */
export type Note = (deps: Deps, row: RequestRow, defer: Exchange['defer']) => void

const LENGTH = /^\d{1,15}$/

/** Follows a request from its arrival to its answer, for the log of requests. */
export function watchArrival(deps: Deps, note: Note | undefined, around: { route: Route; exchange: Exchange }) {
  const { route, exchange } = around
  const { request, requestId, clientRequestId, startedMs, defer } = exchange
  const { promise: status, resolve: answered } = Promise.withResolvers<number>()
  const length = request.headers.get('content-length')
  const arrival: Arrival = {
    requestId,
    method: request.method,
    path: route.path,
    ip: addressOf(request),
    userAgent: request.headers.get('user-agent'),
    clientRequestId,
    bytesIn: length !== null && LENGTH.test(length) ? Number(length) : null,
    status,
    isBooked: false,
  }
  let policy: Policy | undefined

  return {
    arrival,
    /** Whose it is. */
    known(caller: Policy): void {
      policy = caller
    },
    /** What the response begins with: whoever books the call waits for that. */
    answered,
    /** The response as it leaves. Written down here unless it is with the call, or nobody's. */
    close(response: Response, errorCode: string | null = null): Response {
      const statusCode = response.status
      answered(statusCode)
      if (!note || !policy || arrival.isBooked || !isLogged(policy, statusCode)) return response
      const nowMs = deps.now()
      const [durationMs, nowSeconds] = [nowMs - startedMs, secondsOf(nowMs)]
      note(deps, requestRow(arrival, { policy, statusCode, errorCode, durationMs, nowSeconds }), defer)
      return response
    },
  }
}

/** A 401 is of nobody, and whoever reads the metrics of the platform is of no organisation. */
const isLogged = ({ kind }: Policy, status: number): boolean => status !== 401 && kind !== 'scraper'

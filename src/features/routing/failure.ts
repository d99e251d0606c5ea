import { AppError } from '../../core/errors.ts'
import type { UpstreamError } from '../../core/models.ts'
import { blameOf } from '../providers/service.ts'
import type { FailedAttempt, PassedOver } from './run.ts'

/** Client errors of a vendor that are the caller's to read: their body was wrong, too large, or refused. */
const PASSED_THROUGH = new Set([400, 404, 409, 413, 415, 422])

/** How long a node that does not answer is left alone. */
export const NODE_RETRY_SECONDS = 5

type Attempted = { target: string; reason: string }

/** What the caller is told when no target answered; `passedOver` are those that were not asked any more. */
export function failureOf(failures: readonly FailedAttempt[], passedOver: readonly PassedOver[] = []): AppError {
  const last = failures.at(-1)
  if (!last) return nobodyAsked(passedOver)
  const attempted = [
    ...failures.map(({ target, error }) => ({ target: target.id, reason: reasonOf(error) })),
    ...passedOver.map(({ target, reason }) => ({ target: target.id, reason })),
  ]
  if (isCallersFault(last.error)) return callersFailure(last)
  if (new Set(attempted.map(({ target }) => target)).size === 1) return targetFailure(last, attempted)
  const waits = [...failures.map(({ error }) => error.retryAfterMs), ...passedOver.map((one) => one.retryAfterMs)]
  const retryAfterSeconds = soonestOf(waits)
  const about = { cause: last.error, details: { attempted }, retryAfterSeconds }
  const areFull = failures.every(({ error }) => isFull(error)) && passedOver.every(isCooling)
  if (areFull) {
    const wait = { ...about, retryAfterSeconds: retryAfterSeconds ?? 1 }
    return failures.some(({ error }) => error.fault === 'overloaded') ? overloaded(wait) : noCapacity(wait)
  }
  return new AppError('all_providers_failed', 'Every provider that could have answered failed.', about)
}

/** Every target went out between the call's admission and its turn. */
function nobodyAsked(passedOver: readonly PassedOver[]): AppError {
  if (passedOver.length === 0) return new AppError('no_capable_model', 'No target was left to try.')
  const attempted = passedOver.map(({ target, reason }) => ({ target: target.id, reason }))
  const about = { details: { attempted }, retryAfterSeconds: soonestOf(passedOver.map((one) => one.retryAfterMs)) }
  if (passedOver.every(isCooling)) return noCapacity(about)
  return new AppError('model_overloaded', 'No provider of this model is healthy right now.', about)
}

const isCooling = ({ reason }: PassedOver): boolean => reason === 'cooling'

type About = NonNullable<ConstructorParameters<typeof AppError>[2]>

const noCapacity = (about: About): AppError =>
  new AppError('rate_limit_exceeded', 'No provider of this model has capacity left right now.', about)

const isFull = ({ fault, status }: UpstreamError): boolean => fault === 'overloaded' || status === 429

const overloaded = (about: About): AppError =>
  new AppError('model_overloaded', 'Everything that could answer has as many calls as it takes.', about)

function soonestOf(waits: readonly (number | undefined)[]): number | undefined {
  const known = waits.filter((wait) => wait !== undefined)
  return known.length === 0 ? undefined : secondsOf(Math.min(...known))
}

export function isCallersFault(error: UpstreamError): boolean {
  const { fault, status } = error
  if (fault !== 'status' || status === undefined) return false
  return PASSED_THROUGH.has(status) || (status === 403 && blameOf(error) === 'input')
}

/** A vendor that was at work when it was given up has read the prompt, and bills it. */
export const isBilledUnanswered = ({ fault }: UpstreamError): boolean => fault === 'aborted' || fault === 'timeout'

/** One word for logs, metrics and the list of what was attempted. */
export function reasonOf({ fault, status }: UpstreamError): string {
  return fault === 'status' ? `status_${status ?? 0}` : fault
}

/** The vendor's own words, in its own status: they are about what the caller sent. */
function callersFailure({ target, error }: FailedAttempt): AppError {
  const { status, vendor } = error
  return new AppError('invalid_request', vendor?.message ?? `${target.provider.name} refused the request.`, {
    status,
    type: vendor?.type ?? undefined,
    wireCode: vendor?.code ?? null,
    param: vendor?.param ?? undefined,
    cause: error,
  })
}

/** One target was all there was. */
function targetFailure({ target, error }: FailedAttempt, attempted: readonly Attempted[]): AppError {
  const { fault, status } = error
  const { name, kind } = target.provider
  const about = { cause: error, details: { attempted }, retryAfterSeconds: retryAfter(error) }
  if (status === 429) {
    const wait = { ...about, retryAfterSeconds: about.retryAfterSeconds ?? 1 }
    return new AppError('rate_limit_exceeded', `${name} has no capacity left for this gateway right now.`, wait)
  }
  if (fault === 'overloaded') return overloaded({ ...about, retryAfterSeconds: about.retryAfterSeconds ?? 1 })
  if (fault === 'timeout') return new AppError('upstream_timeout', `${name} did not answer in time.`, about)
  if (fault === 'connect' && kind === 'node') {
    const details = { attempted, capability: 'completion' }
    return new AppError('no_capable_model', `The node ${name} does not answer.`, {
      ...about,
      details,
      retryAfterSeconds: NODE_RETRY_SECONDS,
    })
  }
  if (fault === 'connect') return new AppError('network_error', `${name} could not be reached.`, about)
  return new AppError('provider_error', messageOf(name, error), about)
}

function messageOf(name: string, { fault, status, vendor }: UpstreamError): string {
  if (status === 401 || status === 402 || status === 403)
    return `${name} does not accept the credential that this gateway has for it.`
  if (fault === 'garbage') return `${name} answered with something that is not an answer.`
  if (fault === 'cut') return `${name} broke off before its answer was complete.`
  if (fault === 'reported') return `${name} reported an error while answering${vendor ? `: ${vendor.message}` : '.'}`
  return `${name} failed with status ${status ?? 'unknown'}.`
}

const retryAfter = ({ retryAfterMs }: UpstreamError): number | undefined =>
  retryAfterMs === undefined ? undefined : secondsOf(retryAfterMs)

const secondsOf = (ms: number): number => Math.max(1, Math.ceil(ms / 1000))

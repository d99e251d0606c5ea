import { AppError } from '../../core/errors.ts'
import type { UpstreamError } from '../../core/models.ts'
import type { FailedAttempt } from './dispatch.ts'

/** Client errors of a vendor that are the caller's to read: their body was wrong, too large, or refused. */
const PASSED_THROUGH = new Set([400, 404, 409, 413, 415, 422])

/** What the caller is told when no target answered. */
export function failureOf(failures: readonly FailedAttempt[]): AppError {
  const last = failures.at(-1)
  if (!last) return new AppError('no_capable_model', 'No target was left to try.')
  if (failures.length === 1 || isCallersFault(last.error)) return singleFailure(last)
  return new AppError('all_providers_failed', 'Every provider that could have answered failed.', {
    cause: last.error,
    details: { attempted: failures.map(({ target, error }) => ({ target: target.id, reason: reasonOf(error) })) },
    retryAfterSeconds: retryAfter(last.error),
  })
}

export const isCallersFault = ({ fault, status }: UpstreamError): boolean =>
  fault === 'status' && status !== undefined && PASSED_THROUGH.has(status)

/** One word for logs, metrics and the list of what was attempted. */
export function reasonOf({ fault, status }: UpstreamError): string {
  return fault === 'status' ? `status_${status ?? 0}` : fault
}

function singleFailure({ target, error }: FailedAttempt): AppError {
  const { fault, status, vendor } = error
  const name = target.provider.name
  if (isCallersFault(error)) {
    return new AppError('invalid_request', vendor?.message ?? `${name} refused the request.`, {
      status,
      type: vendor?.type ?? undefined,
      wireCode: vendor?.code ?? null,
      param: vendor?.param ?? undefined,
      cause: error,
    })
  }
  if (status === 429) {
    const message = `${name} has no capacity left for this key right now.`
    return new AppError('rate_limit_exceeded', message, {
      cause: error,
      wireCode: 'provider_rate_limited',
      retryAfterSeconds: retryAfter(error) ?? 1,
    })
  }
  if (fault === 'timeout') return new AppError('upstream_timeout', `${name} did not answer in time.`, { cause: error })
  if (fault === 'connect') return new AppError('network_error', `${name} could not be reached.`, { cause: error })
  return new AppError('provider_error', messageOf(name, error), {
    cause: error,
    retryAfterSeconds: retryAfter(error),
    details: { attempted: [{ target: target.id, reason: reasonOf(error) }] },
  })
}

function messageOf(name: string, { fault, status }: UpstreamError): string {
  if (status === 401 || status === 403) return `${name} does not accept the credential that this gateway has for it.`
  if (fault === 'garbage') return `${name} answered with something that is not an answer.`
  if (fault === 'cut') return `${name} broke off before its answer was complete.`
  if (fault === 'reported') return `${name} reported an error while answering.`
  return `${name} failed with status ${status ?? 'unknown'}.`
}

const retryAfter = ({ retryAfterMs }: UpstreamError): number | undefined =>
  retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(retryAfterMs / 1000))

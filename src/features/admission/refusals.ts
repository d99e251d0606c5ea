import type { Ask, Limit, Policy } from '../../core/admission.ts'
import { AppError } from '../../core/errors.ts'
import type { Marker } from '../../core/roles.ts'
import { addRate } from '../../http/exchange.ts'

export const missingCredential = () =>
  new AppError(
    'missing_api_key',
    'Send an API key or an access token in "Authorization: Bearer", or an API key in "x-api-key".',
  )

export const invalidCredential = () => new AppError('invalid_api_key', 'This API key or access token is not valid.')

export const wrongAddress = () => new AppError('permission_denied', 'This API key may not be used from this address.')

/** What only a person can be, in the words of a refusal. */
const missingMarkers: Readonly<Record<Marker, string>> = {
  user: 'This needs a signed-in person.',
  owner: 'This needs an owner of the organisation.',
  operator: 'This needs an operator, signed in for the audience helix-admin.',
}

export function lacksScope({ kind }: Policy, scope: string): AppError {
  const asked = scope.split('|')
  const [marker] = asked.filter(isMarker)
  const areas = asked.filter((one) => !isMarker(one))
  if (areas.length === 0 && marker !== undefined) {
    const message =
      kind === 'api_key' ? 'This needs a signed-in person: an API key cannot do it.' : missingMarkers[marker]
    return new AppError('permission_denied', message)
  }
  const who = kind === 'api_key' ? 'This API key lacks' : 'You lack'
  return new AppError('permission_denied', `${who} the scope ${areas.join(' or ')}.`)
}

const isMarker = (text: string): text is Marker => Object.hasOwn(missingMarkers, text)

export const budgetUnavailable = (cause: unknown) =>
  new AppError('budget_unavailable', 'The budget of this caller cannot be checked right now.', {
    retryAfterSeconds: 1,
    cause,
  })

export const quotaError = (budgetId: string) =>
  new AppError('insufficient_quota', `The budget ${budgetId} does not cover the worst case of this request.`, {
    details: { budget_id: budgetId },
  })

export const overloaded = (limitId: string, retryAfterMs: number) =>
  new AppError('model_overloaded', 'Every place at the providers of this model is taken, and too many calls wait.', {
    details: { limit_id: limitId },
    retryAfterSeconds: Math.max(1, Math.ceil(retryAfterMs / 1000)),
  })

export const unknownRun = (runId: string) =>
  new AppError('invalid_request', `There is no budget of a run '${runId}', or it was deleted.`, {
    param: 'helix.run_id',
  })

/** A request that a limit refused: when it would pass, and where that limit stands. */
type Refusal = { limit: Limit; retryMs: number; remaining: number; resetMs: number }

export function limitError({ limit, retryMs, remaining, resetMs }: Refusal, asked: Ask): AppError {
  const { metric, amount, subject } = limit
  const details = { limit_id: limit.id }
  const headers: Record<string, string> = {}
  if (metric !== 'concurrency') addRate(headers, metric, { limit: amount, remaining, resetSeconds: resetMs / 1000 })
  if (metric === 'tokens' && asked.tokens > amount) {
    const message = `This request needs about ${asked.tokens} tokens; the limit is ${amount} ${inWindow(limit)}.`
    return new AppError('request_exceeds_limit', message, { details, headers })
  }
  const what = metric === 'concurrency' ? `${amount} calls at once` : `${amount} ${metric} ${inWindow(limit)}`
  const message = `Limit reached: ${what} for this ${subject}.`
  return new AppError('rate_limit_exceeded', message, {
    details,
    headers,
    retryAfterSeconds: Math.max(1, Math.ceil(retryMs / 1000)),
  })
}

const NAMED_WINDOWS = new Map<Limit['window'], string>([
  [60, 'a minute'],
  [3600, 'an hour'],
  ['day', 'a calendar day (UTC)'],
  ['month', 'a calendar month (UTC)'],
])

const inWindow = ({ window }: Limit): string => NAMED_WINDOWS.get(window) ?? `in ${window} seconds`

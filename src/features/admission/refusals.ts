import type { Ask, Limit } from '../../core/admission.ts'
import { AppError } from '../../core/errors.ts'
import { addRate } from '../../http/exchange.ts'

export const missingKey = () =>
  new AppError('missing_api_key', 'No API key was given: send "Authorization: Bearer hx_…".')

export const invalidKey = () => new AppError('invalid_api_key', 'This API key is not valid.')

export const lacksScope = (scope: string) => new AppError('permission_denied', `This key lacks the scope ${scope}.`)

export const budgetUnavailable = (cause: unknown) =>
  new AppError('budget_unavailable', 'The budget of this key cannot be checked right now.', {
    retryAfterSeconds: 1,
    cause,
  })

export const quotaError = (budgetId: string) =>
  new AppError('insufficient_quota', `The budget ${budgetId} does not cover the worst case of this request.`, {
    details: { budget_id: budgetId },
  })

export function limitError(limit: Limit, retryMs: number, asked: Ask): AppError {
  const details = { limit_id: limit.id }
  const headers: Record<string, string> = {}
  addRate(headers, limit.metric, { limit: limit.perMinute, remaining: 0, resetSeconds: retryMs / 1000 })
  if (limit.metric === 'tokens' && asked.tokens > limit.perMinute) {
    const message = `This request needs about ${asked.tokens} tokens; the limit is ${limit.perMinute} a minute.`
    return new AppError('request_exceeds_limit', message, { details, headers })
  }
  const message = `Limit reached: ${limit.perMinute} ${limit.metric} a minute for this ${limit.subject}.`
  return new AppError('rate_limit_exceeded', message, {
    details,
    headers,
    retryAfterSeconds: Math.max(1, Math.ceil(retryMs / 1000)),
  })
}

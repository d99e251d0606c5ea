import { describe, expect, it } from 'vitest'
import { AppError, errorCodes } from '../../src/core/errors.ts'
import { errorResponse } from '../../src/http/errors.ts'
import { formatReset, openExchange } from '../../src/http/exchange.ts'
import type { Dialect } from '../../src/http/route.ts'
import { fakeDeps, keptLog } from '../support/fake-deps.ts'
import { openaiErrorOf, problemOf } from './support.ts'

const { log, lines } = keptLog()
const exchangeOf = (dialect: Dialect) =>
  openExchange(fakeDeps({ log }), {
    request: new Request('http://gateway/v1/thing?key=x'),
    path: '/v1/thing',
    dialect,
    execution: undefined,
  })

describe('an error in OpenAI’s dialect', () => {
  it('has exactly the four fields of OpenAI when nothing more is known', async () => {
    const error = new AppError('model_not_found', 'No such model: x.', { param: 'model' })
    const response = errorResponse(error, exchangeOf('openai'))
    expect(response.status).toBe(404)
    expect(await response.json()).toEqual({
      error: { message: 'No such model: x.', type: 'invalid_request_error', param: 'model', code: 'model_not_found' },
    })
  })

  it('adds its facts, and that it may be tried again', async () => {
    const error = new AppError('all_providers_failed', 'All failed.', {
      details: { attempted: ['a/b'], message: 'not this' },
    })
    expect(await openaiErrorOf(errorResponse(error, exchangeOf('openai')))).toEqual({
      attempted: ['a/b'],
      message: 'All failed.',
      type: 'upstream_error',
      param: null,
      code: 'all_providers_failed',
      retryable: true,
    })
  })

  it('shows a vendor’s own client error as the vendor gave it', async () => {
    const error = new AppError('provider_error', 'Bad tool.', { status: 422, type: 'x_error', wireCode: null })
    const response = errorResponse(error, exchangeOf('openai'))
    expect(response.status).toBe(422)
    expect(await openaiErrorOf(response)).toMatchObject({ type: 'x_error', code: null })
  })
})

describe('an error in Anthropic’s dialect', () => {
  it.each([
    ['invalid_request', 400, 'invalid_request_error'],
    ['invalid_api_key', 401, 'authentication_error'],
    ['permission_denied', 403, 'permission_error'],
    ['model_not_found', 404, 'not_found_error'],
    ['payload_too_large', 413, 'request_too_large'],
    ['rate_limit_exceeded', 429, 'rate_limit_error'],
    ['insufficient_quota', 429, 'rate_limit_error'],
    ['all_providers_failed', 502, 'api_error'],
    ['model_overloaded', 503, 'overloaded_error'],
    ['upstream_timeout', 504, 'timeout_error'],
  ] as const)('of %s is a %i of the type %s', async (code, status, type) => {
    const exchange = exchangeOf('anthropic')
    const response = errorResponse(new AppError(code, 'Text.', { details: { attempted: [] } }), exchange)
    expect([response.status, response.headers.get('content-type')]).toEqual([status, 'application/json'])
    expect(response.headers.get('request-id')).toBe(exchange.requestId)
    expect(await response.json()).toEqual({
      type: 'error',
      error: { type, message: 'Text.' },
      request_id: exchange.requestId,
    })
  })
})

describe('a problem', () => {
  it('has the members of RFC 9457 and ours', async () => {
    const exchange = exchangeOf('problem')
    const error = new AppError('invalid_request', 'name: too long', {
      status: 422,
      param: 'name',
      fields: [{ pointer: '/name', detail: 'too long' }],
      details: { limit: 5, status: 1 },
    })
    const response = errorResponse(error, exchange)
    expect(response.status).toBe(422)
    expect(await problemOf(response)).toEqual({
      type: '/docs/errors/invalid_request',
      title: 'Invalid request',
      status: 422,
      detail: 'name: too long',
      instance: '/v1/thing',
      code: 'invalid_request',
      request_id: exchange.requestId,
      errors: [{ pointer: '/name', detail: 'too long' }],
      limit: 5,
    })
  })

  it('points to its page by our code and says when to come back', async () => {
    const error = new AppError('rate_limit_exceeded', 'Too fast.', { retryAfterSeconds: 0.2 })
    const response = errorResponse(error, exchangeOf('problem'))
    expect(response.headers.get('retry-after')).toBe('1')
    expect(await problemOf(response)).toMatchObject({ type: '/docs/errors/rate_limit_exceeded', retryable: true })
  })
})

describe('every code', () => {
  it.each(Object.entries(errorCodes))('%s has its status in both dialects', async (code, { status, retryable }) => {
    const known = Object.keys(errorCodes).find((name): name is keyof typeof errorCodes => name === code)
    if (known === undefined) throw new Error('no such code')
    for (const dialect of ['openai', 'problem'] as const) {
      const response = errorResponse(new AppError(known, 'Text.'), exchangeOf(dialect))
      expect(response.status).toBe(status)
      expect(response.headers.get('cache-control')).toBe('no-store')
      const body = dialect === 'openai' ? await openaiErrorOf(response) : await problemOf(response)
      expect(body).toMatchObject({ code, ...(retryable && { retryable: true }) })
    }
  })
})

it('the causes of a failure of ours are logged, outermost first, and never more than five', () => {
  lines.length = 0
  let error: Error = new Error('deepest')
  for (let i = 0; i < 9; i++) error = new Error(`level ${i}`, { cause: error })
  errorResponse(new AppError('internal', 'Sorry.', { cause: error }), exchangeOf('openai'))
  expect(lines).toHaveLength(1)
  expect(lines[0]?.facts.causes).toEqual([
    'AppError: Sorry.',
    'Error: level 8',
    'Error: level 7',
    'Error: level 6',
    'Error: level 5',
  ])
})

it('the caller’s own mistakes are not logged', () => {
  lines.length = 0
  errorResponse(new AppError('invalid_request', 'No.'), exchangeOf('openai'))
  expect(lines).toEqual([])
})

it.each([
  [0, '0ms'],
  [-1, '0ms'],
  [0.0171, '18ms'],
  [0.9999, '1s'],
  [1, '1s'],
  [7.66, '8s'],
  [60, '1m0s'],
  [359.2, '6m0s'],
  [3599.5, '1h0m0s'],
  [86_399, '23h59m59s'],
])('a wait of %d s is written %s', (seconds, written) => {
  expect(formatReset(seconds)).toBe(written)
})

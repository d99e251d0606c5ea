import { describe, expect, it } from 'vitest'
import { retryAfterMs, vendorErrorOf } from '../../../src/adapters/providers/vendor-error.ts'

const labels = { type: null, param: null, code: null }

describe('what a vendor says about its error', () => {
  it.each([
    [
      'OpenAI',
      '{"error":{"message":"Bad","type":"invalid_request_error","param":"messages","code":"bad"}}',
      { message: 'Bad', type: 'invalid_request_error', param: 'messages', code: 'bad' },
    ],
    ['a bare string', '{"error":"model \'x\' not found"}', { message: "model 'x' not found", ...labels }],
    [
      'a message beside its type',
      '{"message":"No","type":"t","code":3001}',
      { message: 'No', type: 't', param: null, code: '3001' },
    ],
    ['a detail', '{"detail":"Not authenticated"}', { message: 'Not authenticated', ...labels }],
    [
      'FastAPI',
      '{"detail":[{"loc":["body","n"],"msg":"too large"},{"loc":["body"],"msg":"extra"}]}',
      { message: 'body.n: too large; body: extra', ...labels },
    ],
    [
      'Mistral',
      '{"object":"error","message":{"detail":[{"loc":["body","seed"],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error","param":null,"code":null}',
      { message: 'body.seed: Extra inputs are not permitted', type: 'invalid_request_error', param: null, code: null },
    ],
    [
      'Gemini',
      '[{"error":{"code":400,"message":"Unknown name","status":"INVALID_ARGUMENT"}}]',
      { message: 'Unknown name', type: 'INVALID_ARGUMENT', param: null, code: '400' },
    ],
    ['a list of errors', '{"errors":[{"message":"first"}]}', { message: 'first', ...labels }],
    ['an unknown object inside', '{"error":{"message":{"a":1}}}', { message: '{"a":1}', ...labels }],
    ['plain text', 'upstream connect error', { message: 'upstream connect error', ...labels }],
    ['a JSON string', '"slow down"', { message: 'slow down', ...labels }],
  ])('reads %s', (_name, body, expected) => {
    expect(vendorErrorOf(body)).toEqual(expected)
  })

  it.each(['', '  ', '<html><body>502</body></html>', '{}', '[]', 'null', '42', '{"ok":true}'])(
    'finds nothing in %j',
    (body) => {
      expect(vendorErrorOf(body)).toBeUndefined()
    },
  )

  it('shortens what is too long to pass on', () => {
    expect(vendorErrorOf({ message: 'x'.repeat(100_000) })?.message.length).toBeLessThan(2100)
  })
})

describe('how long a vendor asks to wait', () => {
  const nowMs = Date.parse('2026-08-22T10:00:00Z')
  it.each([
    [{ 'retry-after': '2' }, 2000],
    [{ 'retry-after': '0.5' }, 500],
    [{ 'retry-after-ms': '1500', 'retry-after': '9' }, 1500],
    [{ 'retry-after-ms': 'soon', 'retry-after': '9' }, 9000],
    [{ 'retry-after': 'Sat, 22 Aug 2026 10:00:30 GMT' }, 30_000],
    [{ 'retry-after': 'Sat, 22 Aug 2026 09:00:00 GMT' }, 0],
    [{ 'retry-after': '999999999' }, 86_400_000],
    [{ 'retry-after': 'later' }, undefined],
    [{}, undefined],
  ])('%j', (headers: Record<string, string>, expected) => {
    expect(retryAfterMs(new Headers(headers), nowMs)).toBe(expected)
  })
})

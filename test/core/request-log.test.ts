import { describe, expect, it } from 'vitest'
import { type Arrival, requestRow, shortIp } from '../../src/core/request-log.ts'

describe('an address in the log of requests', () => {
  it.each([
    ['203.0.113.77', '203.0.113.0/24'],
    ['8.8.8.8', '8.8.8.0/24'],
    ['2001:db8:85a3:1:2:8a2e:370:7334', '2001:db8:85a3::/48'],
    ['2001:DB8::1', '2001:db8:0::/48'],
    ['::1', '0:0:0::/48'],
    ['::ffff:203.0.113.77', '203.0.113.0/24'],
    ['::ffff:cb00:714d', '203.0.113.0/24'],
    ['unknown', null],
    ['', null],
    ['1.2.3.4.5', null],
    ['fe80::1%eth0', null],
  ])('%s is kept as %s', (ip, network) => {
    expect(shortIp(ip)).toBe(network)
  })
})

describe('a row of the log of requests', () => {
  const arrival: Arrival = {
    requestId: 'req_1',
    method: 'POST',
    path: '/api/v1/keys/:id',
    ip: '203.0.113.77',
    userAgent: 'x'.repeat(1000),
    clientRequestId: undefined,
    bytesIn: 7,
    response: Promise.resolve({ statusCode: 200, bytesOut: 9 }),
    isBooked: false,
  }
  const ended = { statusCode: 200, errorCode: null, durationMs: 12.6, bytesOut: 9, nowSeconds: 100 }

  it('has no more of the caller than it needs', () => {
    const row = requestRow(arrival, { ...ended, policy: { orgId: 'org_1', keyId: 'key_1' } })
    expect(row).toEqual({
      request_id: 'req_1',
      org_id: 'org_1',
      key_id: 'key_1',
      user_id: null,
      method: 'POST',
      path: '/api/v1/keys/:id',
      status_code: 200,
      error_code: null,
      ip: '203.0.113.0/24',
      user_agent: 'x'.repeat(256),
      client_request_id: null,
      response_time_ms: 13,
      bytes_in: 7,
      bytes_out: 9,
      created_at: 100,
    })
  })

  it('does not cut a character of the user agent in half', () => {
    const half = { ...arrival, userAgent: `${'x'.repeat(255)}\u{1f600}` }
    const row = requestRow(half, { ...ended, policy: { orgId: 'org_1', keyId: 'key_1' } })
    expect(row.user_agent).toBe(`${'x'.repeat(255)}\ufffd`)
  })
})

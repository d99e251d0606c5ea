import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { OutboundRequest } from '../../../src/core/outbound.ts'
import { findIssuerKey } from '../../../src/features/oidc/issuer-keys.ts'
import { fakeDeps, keptLog } from '../../support/fake-deps.ts'
import { type Issuer, startIssuer } from './issuer.ts'
import { HOUR_MS, isolateFor, MINUTE_MS } from './world.ts'

const farAway = () => Math.floor(Date.now() / 1000) + 7 * 24 * 3600

describe('the keys of a running issuer', () => {
  let issuer: Issuer
  /** Valid for days, so that only its key decides. */
  let token: string

  beforeEach(async () => {
    issuer = await startIssuer()
    token = await issuer.sign({ exp: farAway() })
  })
  afterEach(() => issuer?.close())

  it('are fetched once in ten minutes', async () => {
    const { reasonFor, pass } = isolateFor(issuer)
    for (let calls = 0; calls < 5; calls++) expect(await reasonFor(token)).toBeUndefined()
    pass(10 * MINUTE_MS - 1)
    expect(await reasonFor(token)).toBeUndefined()
    expect(issuer.fetches()).toBe(1)
    pass(1)
    expect(await reasonFor(token)).toBeUndefined()
    expect(issuer.fetches()).toBe(2)
  })

  it('are refused once they are withdrawn, when the ten minutes are over', async () => {
    const { reasonFor, pass } = isolateFor(issuer)
    expect(await reasonFor(token)).toBeUndefined()
    await issuer.rotate()
    pass(10 * MINUTE_MS)
    expect(await reasonFor(token)).toBe('unknown_key')
    expect(await reasonFor(await issuer.sign({ exp: farAway() }))).toBeUndefined()
  })

  it('are fetched again for a key that nobody knows, at most every thirty seconds', async () => {
    const { reasonFor, pass } = isolateFor(issuer)
    expect(await reasonFor(token)).toBeUndefined()
    await issuer.rotate()
    const fresh = await issuer.sign({ exp: farAway() })
    expect(await reasonFor(fresh)).toBe('unknown_key')
    pass(30_000)
    expect(await reasonFor(fresh)).toBeUndefined()
    expect(issuer.fetches()).toBe(2)
    for (const kid of ['a', 'b', 'c']) expect(await reasonFor(await issuer.sign({}, { kid }))).toBe('unknown_key')
    expect(issuer.fetches()).toBe(2)
    pass(30_000)
    for (const kid of ['a', 'b', 'c']) expect(await reasonFor(await issuer.sign({}, { kid }))).toBe('unknown_key')
    expect(issuer.fetches()).toBe(3)
  })

  it('are good for a day while the issuer is away; then it is 503, and never 401', async () => {
    const { reasonFor, pass, lines } = isolateFor(issuer)
    expect(await reasonFor(token)).toBeUndefined()
    issuer.away(true)
    pass(10 * MINUTE_MS)
    expect(await reasonFor(token)).toBeUndefined()
    pass(23 * HOUR_MS)
    expect(await reasonFor(token)).toBeUndefined()
    expect(await reasonFor(await issuer.sign({ exp: farAway() }, { kid: 'new' }))).toBe('dependency_unavailable')
    pass(HOUR_MS)
    expect(await reasonFor(token)).toBe('dependency_unavailable')
    expect(lines.map(({ event }) => event)).toContain('oidc_keys_unavailable')
    issuer.away(false)
    pass(30_000)
    expect(await reasonFor(token)).toBeUndefined()
  })

  it('of an issuer that was never reached are 503, tried every thirty seconds, and no matter of another issuer', async () => {
    const other = await startIssuer()
    try {
      issuer.away(true)
      const { reasonFor, pass, deps } = isolateFor(issuer)
      const reached = isolateFor(other)
      expect(await reasonFor(token)).toBe('dependency_unavailable')
      expect(await reached.reasonFor(await other.sign({}))).toBeUndefined()
      issuer.away(false)
      expect(await reasonFor(token)).toBe('dependency_unavailable')
      expect(deps.memory.issuerKeys.size).toBe(1)
      pass(30_000)
      expect(await reasonFor(token)).toBeUndefined()
    } finally {
      await other.close()
    }
  })

  it('are needed by name where an issuer has several that fit', async () => {
    const { deps, provider } = isolateFor(issuer)
    const named = issuer.keys().find(({ alg }) => alg === 'ES256')
    const key = await findIssuerKey(deps, provider, { algorithm: 'ES256', kid: named?.kid })
    expect(key).toEqual({ kty: 'EC', crv: 'P-256', x: named?.x, y: named?.y, kid: named?.kid, alg: 'ES256' })
    expect(await findIssuerKey(deps, provider, { algorithm: 'ES256', kid: undefined })).toEqual(key)
    const [entry] = deps.memory.issuerKeys.values()
    const twice = JSON.stringify([key, { ...key, kid: 'second' }])
    deps.memory.issuerKeys.set(`${issuer.url} `, { isBehind: false, fetchedMs: 0, triedMs: 0, ...entry, keys: twice })
    await expect(findIssuerKey(deps, provider, { algorithm: 'ES256', kid: undefined })).rejects.toMatchObject({
      cause: 'unknown_key',
    })
  })
})

describe('what an issuer publishes', () => {
  const issuer = 'https://issuer.example.net/realm'
  const discovery = { issuer, jwks_uri: 'https://keys.example.net/jwks' }
  const key = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: 'one', alg: 'ES256', use: 'sig' }

  /** Answers by address; everything else is not found. */
  function world(answers: Readonly<Record<string, () => Response>>) {
    const sent: OutboundRequest[] = []
    const { log, lines } = keptLog()
    const deps = fakeDeps({
      log,
      outbound: async (request) => {
        sent.push(request)
        return answers[request.url]?.() ?? new Response('nothing here', { status: 404 })
      },
    })
    const find = (jwksUri?: string) => findIssuerKey(deps, { issuer, jwksUri }, { algorithm: 'ES256', kid: 'one' })
    return { find, deps, sent, faults: () => lines.map(({ facts }) => facts.fault) }
  }
  const at = (document: unknown, keys: unknown) => ({
    [`${issuer}/.well-known/openid-configuration`]: () => Response.json(document),
    [discovery.jwks_uri]: () => Response.json(keys),
  })

  it('is asked for through the guard that keeps callers from our own network', async () => {
    const { find, sent } = world(at(discovery, { keys: [key] }))
    await find()
    expect(sent.map(({ url, purpose, headersTimeoutMs }) => [url, purpose, headersTimeoutMs])).toEqual([
      [`${issuer}/.well-known/openid-configuration`, 'public', 5000],
      [discovery.jwks_uri, 'public', 5000],
    ])
  })

  it('keeps what an organisation named itself apart from what others go by', async () => {
    const { find, sent } = world({
      ...at(discovery, { keys: [] }),
      'https://own.test/jwks': () => Response.json({ keys: [key] }),
    })
    expect(await find('https://own.test/jwks')).toMatchObject({ kid: 'one' })
    await expect(find()).rejects.toMatchObject({ cause: 'unknown_key' })
    expect(sent).toHaveLength(3)
  })

  it('is forgotten before an isolate has no room left, whatever organisations make up', async () => {
    const padded = Array.from({ length: 100 }, (_, at) => ({
      kty: 'RSA',
      kid: `k${at}`,
      n: 'x'.repeat(4000),
      e: 'y'.repeat(4000),
    }))
    const urls = Array.from({ length: 12 }, (_, at) => `https://own.test/${at}`)
    const { find, deps } = world(Object.fromEntries(urls.map((url) => [url, () => Response.json({ keys: padded })])))
    for (const url of urls) await expect(find(url)).rejects.toMatchObject({ cause: 'unknown_key' })
    const kept = [...deps.memory.issuerKeys.values()].map(({ keys }) => keys?.length ?? 0)
    expect(kept.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(4_000_000)
    expect(deps.memory.issuerKeys.has(`${issuer} ${urls.at(-1)}`)).toBe(true)
  })

  it.each([
    ['speaks of another issuer', at({ ...discovery, issuer: 'https://other.test' }, { keys: [key] }), 'another issuer'],
    ['names no keys', at({ issuer }, { keys: [key] }), 'names no issuer or no key set'],
    ['has no list of keys', at(discovery, { keys: {} }), 'no list of keys'],
    ['has too many keys', at(discovery, { keys: new Array(101).fill(key) }), 'more than 100 keys'],
    ['is larger than a megabyte', at(discovery, { keys: [key], pad: 'x'.repeat(1024 * 1024) }), 'larger than 1 MB'],
    ['is not found', {}, 'status 404'],
    [
      'is not JSON',
      { ...at(discovery, {}), [discovery.jwks_uri]: () => new Response('<html>') },
      'is not JSON that can be read',
    ],
    [
      'is nested without end',
      { ...at(discovery, {}), [discovery.jwks_uri]: () => new Response('['.repeat(100_000)) },
      'is not JSON that can be read',
    ],
  ])('is not taken when it %s', async (_what, answers, fault) => {
    const { find, faults } = world(answers)
    await expect(find()).rejects.toMatchObject({ code: 'dependency_unavailable', retryAfterSeconds: 30 })
    expect(faults()).toEqual([expect.stringContaining(fault)])
  })

  it('is taken key by key: those that are none, or for something else, are left out', async () => {
    const { find } = world(
      at(discovery, {
        keys: [null, 1, {}, { ...key, use: 'enc' }, { ...key, key_ops: ['sign'] }, { kty: 'oct', k: 'a' }, key],
      }),
    )
    expect(await find()).toEqual({ kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: 'one', alg: 'ES256' })
  })
})

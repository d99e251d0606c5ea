import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { base64url, exportJWK, importJWK, type JWK, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { API, CLIENT, type Issuer, startIssuer } from './issuer.ts'
import { isolateFor } from './world.ts'

let issuer: Issuer
let stranger: Issuer

beforeAll(async () => {
  ;[issuer, stranger] = await Promise.all([startIssuer(), startIssuer()])
})
afterAll(() => Promise.all([issuer?.close(), stranger?.close()]))

const seconds = () => Math.floor(Date.now() / 1000)
const encode = (value: unknown) => base64url.encode(typeof value === 'string' ? value : JSON.stringify(value))

const keyFor = (alg: string): JWK => {
  const key = issuer.keys().find((one) => one.alg === alg)
  if (!key) throw new Error(`no key for ${alg}`)
  return key
}
/** What a key of this program's own would sign, whatever jose thinks of it. */
const signWith = (key: KeyObject, text: string) => sign('sha256', Buffer.from(text), key).toString('base64url')
const publicHalf = ({ kty, n, e, crv, x, y, kid, alg }: JWK) => ({ kty, n, e, crv, x, y, kid, alg })

/** A token of the issuer in which one segment was replaced after it was signed. */
async function withHeader(header: object): Promise<string> {
  const [, payload, signature] = (await issuer.sign({})).split('.')
  return `${encode(header)}.${payload}.${signature}`
}

describe('a token of a real provider', () => {
  it('is taken: ID tokens of both algorithms and an access token in JWT form', async () => {
    issuer.accounts.set('alice', { email: 'alice@example.com', email_verified: true })
    const audiences = [`${CLIENT.id}-RS256`, `${CLIENT.id}-ES256`, API]
    const { reasonFor } = isolateFor(issuer, { audiences })
    expect(await reasonFor(await issuer.idToken('alice', 'RS256'))).toBeUndefined()
    expect(await reasonFor(await issuer.idToken('alice', 'ES256'))).toBeUndefined()
    expect(await reasonFor(await issuer.accessToken())).toBeUndefined()
  })

  it('is taken when the organisation names the key set itself', async () => {
    const { reasonFor } = isolateFor(issuer, { jwksUri: `${issuer.url}/jwks` })
    expect(await reasonFor(await issuer.idToken('alice'))).toBeUndefined()
  })

  it('is refused with one bit of its signature changed', async () => {
    const { reasonFor } = isolateFor(issuer)
    const [header, payload, signature = ''] = (await issuer.sign({})).split('.')
    const bytes = Buffer.from(signature, 'base64url')
    bytes[20] = (bytes[20] ?? 0) ^ 1
    expect(await reasonFor(`${header}.${payload}.${bytes.toString('base64url')}`)).toBe('bad_signature')
  })

  it('is refused with other claims under the same signature', async () => {
    const { reasonFor } = isolateFor(issuer)
    const [header, , signature] = (await issuer.sign({})).split('.')
    const [, payload] = (await issuer.sign({ sub: 'root' })).split('.')
    expect(await reasonFor(`${header}.${payload}.${signature}`)).toBe('bad_signature')
  })
})

describe('an algorithm', () => {
  it('is never none, however it is written', async () => {
    const { reasonFor } = isolateFor(issuer)
    const claims = { iss: issuer.url, aud: `${CLIENT.id}-RS256`, sub: 'alice', exp: seconds() + 60 }
    expect(await reasonFor(new UnsecuredJWT(claims).encode())).toBe('malformed')
    for (const alg of ['none', 'NoNe', 'NONE']) {
      expect(await reasonFor(`${encode({ alg })}.${encode(claims)}.AA`)).toBe('wrong_algorithm')
    }
  })

  it('is never a shared secret, even where the secret is what the issuer publishes', async () => {
    const key = keyFor('RS256')
    const pem = createPublicKey({ key: { kty: 'RSA', n: key.n ?? '', e: key.e ?? '' }, format: 'jwk' }).export({
      type: 'spki',
      format: 'pem',
    })
    // Whoever stored a row by hand gets no further than this.
    const { reasonFor } = isolateFor(issuer, { allowedAlgs: ['RS256', 'HS256'] })
    for (const secret of [String(pem), String(pem).trim(), JSON.stringify(publicHalf(key)), key.n ?? '']) {
      const token = await new SignJWT({ iss: issuer.url, aud: `${CLIENT.id}-RS256`, sub: 'a', exp: seconds() + 60 })
        .setProtectedHeader({ alg: 'HS256', kid: key.kid ?? '' })
        .sign(new TextEncoder().encode(secret))
      expect(await reasonFor(token)).toBe('wrong_algorithm')
    }
  })

  it('is one of those that the provider allows', async () => {
    const { reasonFor } = isolateFor(issuer, { allowedAlgs: ['ES256'] })
    expect(await reasonFor(await issuer.sign({}))).toBe('wrong_algorithm')
    expect(await reasonFor(await issuer.sign({}, { alg: 'ES256' }))).toBeUndefined()
  })

  it('is the one that its key was published for', async () => {
    const { reasonFor } = isolateFor(issuer, { allowedAlgs: ['RS256', 'PS256'] })
    const key = keyFor('RS256')
    const token = await new SignJWT({ iss: issuer.url, aud: `${CLIENT.id}-RS256`, sub: 'a', exp: seconds() + 60 })
      .setProtectedHeader({ alg: 'PS256', kid: key.kid ?? '' })
      .sign(await importJWK({ ...key, alg: 'PS256' }, 'PS256'))
    expect(await reasonFor(token)).toBe('unknown_key')
  })

  it('does not take a key of another kind by its name', async () => {
    const { reasonFor } = isolateFor(issuer)
    const token = await issuer.sign({}, { alg: 'RS256', kid: keyFor('ES256').kid ?? '' })
    expect(await reasonFor(token)).toBe('unknown_key')
  })
})

describe('a header', () => {
  it('brings no key of its own, and no rules', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const { reasonFor } = isolateFor(issuer)
    const own = await exportJWK(publicKey)
    for (const extra of [
      { jwk: own },
      { jku: `${stranger.url}/jwks` },
      { x5u: `${stranger.url}/certificate` },
      { x5c: ['MIIB'] },
      { crit: ['exp'] },
      { b64: false },
      { zip: 'DEF' },
      { jwk: null },
    ]) {
      const claims = { iss: issuer.url, aud: `${CLIENT.id}-RS256`, sub: 'a', exp: seconds() + 60 }
      const text = `${encode({ alg: 'RS256', kid: keyFor('RS256').kid, ...extra })}.${encode(claims)}`
      expect(await reasonFor(`${text}.${signWith(privateKey, text)}`), JSON.stringify(extra)).toBe('malformed')
    }
  })

  it('names a key of the issuer and nothing else by kid', async () => {
    const { reasonFor } = isolateFor(issuer)
    for (const kid of ['../../etc/passwd', "' or 1=1 --", stranger.url, '__proto__', 'constructor', '0']) {
      expect(await reasonFor(await issuer.sign({}, { kid })), kid).toBe('unknown_key')
    }
    expect(await reasonFor(await withHeader({ alg: 'RS256', kid: ['a'] }))).toBe('malformed')
    expect(await reasonFor(await withHeader({ alg: 'RS256', kid: 'x'.repeat(10_000) }))).toBe('malformed')
    expect(await reasonFor(await withHeader({ alg: ['RS256'] }))).toBe('malformed')
  })

  it('is of an ID token or an access token, not of a proof, an event or a logout', async () => {
    const { reasonFor } = isolateFor(issuer)
    for (const typ of ['dpop+jwt', 'logout+jwt', 'secevent+jwt', 'JOSE+JSON']) {
      expect(await reasonFor(await issuer.sign({}, { typ })), typ).toBe('malformed')
    }
    for (const typ of ['JWT', 'jwt', 'at+jwt']) expect(await reasonFor(await issuer.sign({}, { typ }))).toBeUndefined()
  })
})

describe('a claim', () => {
  const reasonOf = async (claims: Record<string, unknown>) => isolateFor(issuer).reasonFor(await issuer.sign(claims))

  it('names this audience, alone or among others', async () => {
    expect(await reasonOf({ aud: [`${CLIENT.id}-RS256`, 'other'] })).toBeUndefined()
    for (const aud of ['other', ['other'], 'helix-web-RS256 ', 'HELIX-WEB-RS256']) {
      expect(await reasonOf({ aud }), String(aud)).toBe('wrong_audience')
    }
    for (const aud of [undefined, [], {}, [1], '']) expect(await reasonOf({ aud })).toBe('malformed')
  })

  it('names this issuer to the letter', async () => {
    for (const iss of [stranger.url, `${issuer.url}/`, `${issuer.url}@evil.test`]) {
      expect(await reasonOf({ iss }), iss).toBe('unknown_issuer')
    }
  })

  it('says who it was issued to, and that is us', async () => {
    expect(await reasonOf({ azp: `${CLIENT.id}-RS256` })).toBeUndefined()
    expect(await reasonOf({ azp: 'somebody-else' })).toBe('wrong_party')
  })

  it('is valid now, give or take a minute', async () => {
    const now = seconds()
    expect(await reasonOf({ exp: now - 50 })).toBe('bad_times')
    expect(await reasonOf({ iat: now - 600, exp: now - 30 })).toBeUndefined()
    expect(await reasonOf({ iat: now - 600, exp: now - 90 })).toBe('expired')
    expect(await reasonOf({ nbf: now + 30 })).toBeUndefined()
    expect(await reasonOf({ nbf: now + 90 })).toBe('bad_times')
    expect(await reasonOf({ iat: now + 90 })).toBe('bad_times')
    for (const exp of [undefined, null, 'soon', String(now + 60), 1e308, -1]) {
      expect(await reasonOf({ exp }), String(exp)).toBe('malformed')
    }
  })

  it('is what the provider requires', async () => {
    const reasonWith = async (requiredClaims: Record<string, string>, claims: Record<string, unknown>) =>
      isolateFor(issuer, { requiredClaims }).reasonFor(await issuer.sign(claims))
    const required = { repository: 'acme/app', ref: 'refs/heads/*' }
    expect(await reasonWith(required, { repository: 'acme/app', ref: 'refs/heads/main' })).toBeUndefined()
    for (const claims of [
      { repository: 'acme/app' },
      { repository: 'acme/app', ref: 'refs/tags/1' },
      { repository: 'acme/app2', ref: 'refs/heads/main' },
      { repository: 'evil/acme/app', ref: 'refs/heads/main' },
      {},
    ]) {
      expect(await reasonWith(required, claims), JSON.stringify(claims)).toBe('condition_not_met')
    }
  })
})

describe('a key of the issuer', () => {
  it('of RSA with fewer than 2048 bits is not one', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const published = { ...(await exportJWK(publicKey)), kid: 'short', alg: 'RS256' }
    const { deps, reasonFor } = isolateFor(issuer)
    deps.memory.issuerKeys.set(`${issuer.url} `, {
      keys: JSON.stringify([published]),
      fetchedMs: deps.now(),
      triedMs: deps.now(),
      isBehind: false,
    })
    const claims = { iss: issuer.url, aud: `${CLIENT.id}-RS256`, sub: 'a', exp: seconds() + 60 }
    const text = `${encode({ alg: 'RS256', kid: 'short' })}.${encode(claims)}`
    expect(await reasonFor(`${text}.${signWith(privateKey, text)}`)).toBe('unknown_key')
  })

  it('of another issuer is not one, whatever the token says', async () => {
    const { reasonFor } = isolateFor(issuer)
    const kid = keyFor('RS256').kid ?? ''
    expect(await reasonFor(await stranger.sign({ iss: issuer.url }, { kid }))).toBe('bad_signature')
    expect(await reasonFor(await stranger.sign({ iss: issuer.url }))).toBe('unknown_key')
  })
})

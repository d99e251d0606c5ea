import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { openForPlatform } from '../../src/features/encryption/service.ts'
import { createForge, type Forge, signedByUs } from '../features/signing/forge.ts'
import { hostileTokens } from '../features/signing/hostile.ts'
import { count } from '../support/lane.ts'
import { claimsOf, depsOver, type Person, person } from '../support/people.ts'
import { type Stack, startStack } from '../support/stack.ts'

const AT_ONCE = 8
const Claims = z.record(z.string(), z.unknown())
const KeySet = z.object({ keys: z.array(z.object({ kid: z.string() }).catchall(z.string())) })

let stack: Stack
let signedIn: Person
beforeAll(async () => {
  stack = await startStack()
  signedIn = await person(stack, { role: 'owner' })
})
afterAll(() => stack?.close())

/** A forger who broke into Postgres and has the key-encryption key. */
async function forger(): Promise<Forge> {
  const [row] = await stack.query("select kid, private_jwk from signing_keys where state = 'active'")
  const kid = String(row?.kid)
  const place = { table: 'signing_keys', column: 'private_jwk', rowId: kid }
  const privateJwk = await openForPlatform(depsOver(stack), place, String(row?.private_jwk))
  return createForge(kid, privateJwk, Claims.parse(claimsOf(signedIn.accessToken)))
}

const statusOf = async (token: string) => {
  const response = await stack.call(token, '/v1/models')
  await response.arrayBuffer()
  return response.status
}

/** What a header can carry; spaces around a token are the header's and not the token's. */
const canBeSent = (token: string) => /^[\x21-\x7e]{1,8000}$/.test(token)

describe('access tokens at the gateway', () => {
  it('are refused when anything about them is wrong', async () => {
    const forge = await forger()
    expect([await statusOf(signedIn.accessToken), await statusOf(signedByUs(forge))]).toEqual([200, 200])
    const tokens = hostileTokens(forge).filter(({ token }) => canBeSent(token))
    const step = Math.max(1, Math.floor(tokens.length / count(70, tokens.length)))
    const chosen = tokens.filter((_, at) => at % step === 0)
    const wrong: string[] = []
    for (let at = 0; at < chosen.length; at += AT_ONCE) {
      const some = chosen.slice(at, at + AT_ONCE)
      const statuses = await Promise.all(some.map(({ token }) => statusOf(token)))
      wrong.push(...some.flatMap(({ name }, place) => (statuses[place] === 401 ? [] : [`${name}: ${statuses[place]}`])))
    }
    expect(wrong).toEqual([])
    expect(chosen.length).toBeGreaterThanOrEqual(count(70, 600))
    expect(await statusOf(signedIn.accessToken)).toBe(200)
  })

  it('verify with the published keys in the hands of anyone', async () => {
    const response = await fetch(`${stack.url}/.well-known/jwks.json`)
    expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'public, max-age=300'])
    const { keys } = KeySet.parse(await response.json())
    for (const key of keys) expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
    const set: JSONWebKeySet = { keys: keys.map((key) => ({ kty: 'EC', ...key })) }
    const options = { issuer: 'https://helix.test', audience: 'helix', typ: 'at+jwt' }
    const { payload } = await jwtVerify(signedIn.accessToken, createLocalJWKSet(set), options)
    expect(payload).toMatchObject({ sub: signedIn.userId, org: signedIn.orgId, sid: signedIn.sessionId })
  })
})

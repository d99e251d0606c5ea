import { describe, expect, it } from 'vitest'
import { newId } from '../../../src/core/ids.ts'
import { createMemory } from '../../../src/core/memory.ts'
import { createKeyPair, importKey } from '../../../src/features/signing/jws.ts'
import { looksLikeAccessToken, verifyAccessToken } from '../../../src/features/signing/service.ts'
import { fakeDeps, fakeSettings } from '../../support/fake-deps.ts'
import { createForge, header, payload, signedByThem, signedByUs } from './forge.ts'
import { hostileTokens } from './hostile.ts'

const NOW_MS = 1_900_000_000_000
const now = NOW_MS / 1000
const kid = newId('sig', NOW_MS)
const claims = {
  iss: fakeSettings.issuer,
  aud: 'helix',
  sub: newId('usr', NOW_MS),
  org: newId('org', NOW_MS),
  sid: newId('ses', NOW_MS),
  role: 'owner',
  scope: '*:* user owner',
  jti: newId('tok', NOW_MS),
  iat: now,
  exp: now + 1800,
  ver: 1,
}

const pair = await createKeyPair()
const forge = createForge(kid, pair.privateJwk, claims)

/** An isolate that knows our key and has just looked for others: it has nothing to ask Postgres for, and cannot. */
async function isolateWithKey(atMs = NOW_MS) {
  const key = { kid, jwk: pair.publicJwk, key: await importKey(pair.publicJwk), notAfter: null }
  const read = { readMs: atMs, triedMs: atMs, soughtMs: atMs, isBehind: false }
  const memory = { ...createMemory(), signingKeys: { byKid: new Map([[kid, key]]), ...read } }
  return fakeDeps({ memory, now: () => atMs })
}

describe('an access token', () => {
  it('is taken when it is genuine, also in the hands of the forger', async () => {
    const { iss, ver, ...said } = claims
    const deps = await isolateWithKey()
    expect(await verifyAccessToken(deps, signedByUs(forge))).toEqual(said)
    const unusual = payload(forge, { nbf: now, aud: 'helix-admin', scope: '', later: 'a claim of another release' })
    expect(await verifyAccessToken(deps, signedByUs(forge, { payload: unusual }))).toMatchObject({ aud: 'helix-admin' })
  })

  it('is refused when anything about it is wrong', async () => {
    const deps = await isolateWithKey()
    const tokens = hostileTokens(forge)
    const taken: string[] = []
    for (const { name, token } of tokens) {
      if ((await verifyAccessToken(deps, token)) !== undefined) taken.push(name)
    }
    expect(taken).toEqual([])
    expect(new Set(tokens.map(({ token }) => token)).size).toBeGreaterThanOrEqual(600)
    expect(new Set(tokens.map(({ name }) => name)).size).toBe(tokens.length)
  })

  it('counts from a minute before its time to a minute after it', async () => {
    const token = signedByUs(forge)
    const isTakenAt = async (seconds: number) =>
      (await verifyAccessToken(await isolateWithKey((now + seconds) * 1000), token)) !== undefined
    expect(await Promise.all([-61, -60, 0, 1859, 1860].map(isTakenAt))).toEqual([false, true, true, true, false])
  })

  it('is known by its look, which is not an API key and not another token', () => {
    expect(looksLikeAccessToken(signedByUs(forge))).toBe(true)
    expect(looksLikeAccessToken(signedByThem(forge, { header: header(forge, { alg: 'none' }) }))).toBe(true)
    const others = [
      '',
      'hx_live_abc',
      'a.b.c',
      signedByUs(forge).slice(0, -1),
      `${signedByUs(forge)}=`,
      'x'.repeat(600),
    ]
    expect(others.filter(looksLikeAccessToken)).toEqual([])
  })
})

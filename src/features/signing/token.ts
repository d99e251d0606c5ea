import { secondsOf } from '../../core/clock.ts'
import type { Deps } from '../../core/context.ts'
import type { Role } from '../../core/roles.ts'
import { needsRewrap, openForPlatform, sealForPlatform } from '../encryption/service.ts'
import { readToken } from './claims.ts'
import { importKey, isSignedBy, signToken } from './jws.ts'
import { findPublishedKey, type RingDeps, remember } from './ring.ts'
import { keepKeys } from './rotation.ts'
import { type AccessClaims, type Audience, LIFETIME_SECONDS } from './shape.ts'
import { load, NO_ORG, placeOf, type SigningRow, type StoreDeps } from './store.ts'

export type MintDeps = StoreDeps & RingDeps
export type VerifyDeps = RingDeps & Pick<Deps, 'settings'>

/** Whom an access token is about. `scopes` come with the session's markers. */
export type Grant = {
  userId: string
  orgId: string
  sessionId: string
  role: Role
  scopes: readonly string[]
  audience: Audience
}
/** `expiresIn` in seconds. */
export type Minted = { token: string; expiresIn: number }
export type Minter = (grant: Grant) => Promise<Minted>

/** A mint whose key is at hand: from here on nothing that could be away is needed. */
export async function createMinter(deps: MintDeps): Promise<Minter> {
  const askedMs = deps.now()
  const { rows, active } = await keepKeys(deps)
  await remember(deps, rows, askedMs)
  const { kid } = active
  const key = await importKey(JSON.parse(await openPrivate(deps, active)))
  return async ({ userId, orgId, sessionId, role, scopes, audience }) => {
    const iat = secondsOf(deps.now())
    const claims: AccessClaims = {
      aud: audience,
      sub: userId,
      org: orgId,
      sid: sessionId,
      role,
      scope: scopes.join(' '),
      jti: deps.newId('tok'),
      iat,
      exp: iat + LIFETIME_SECONDS,
    }
    return {
      token: await signToken({ iss: deps.settings.issuer, ...claims }, { kid, key }),
      expiresIn: LIFETIME_SECONDS,
    }
  }
}

/** The private half; under a new key-encryption key it is sealed anew, so that the old one can be put away. */
async function openPrivate(deps: MintDeps, { kid, private_jwk: sealed }: SigningRow): Promise<string> {
  const opened = await openForPlatform(deps, placeOf(kid), sealed)
  if (await needsRewrap(deps, sealed)) {
    const [[{ and, eq }, { signingKeys }], resealed] = await Promise.all([
      load(),
      sealForPlatform(deps, placeOf(kid), opened),
    ])
    await deps.db.atomically(NO_ORG, (query) => [
      query
        .update(signingKeys)
        .set({ private_jwk: resealed })
        .where(and(eq(signingKeys.kid, kid), eq(signingKeys.private_jwk, sealed))),
    ])
  }
  return opened
}

/** What a token of ours says; see `verifyAccessToken`. */
export async function verify(deps: VerifyDeps, token: string): Promise<AccessClaims | undefined> {
  const { issuer } = deps.settings
  const nowMs = deps.now()
  const unverified = readToken(token, { issuer, now: secondsOf(nowMs) })
  if (!unverified) return undefined
  const published = await findPublishedKey(deps, unverified.kid)
  if (!published) return undefined
  return (await isSignedBy(published.key, token, { issuer, nowMs })) ? unverified.claims : undefined
}

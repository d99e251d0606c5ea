import { errors, importJWK, jwtVerify } from 'jose'
import { nowSeconds } from '../../core/clock.ts'
import { isAlgorithm } from './algorithms.ts'
import { meets } from './claims.ts'
import { findIssuerKey, type KeyDeps } from './issuer-keys.ts'
import type { Provider } from './provider.ts'
import { refused } from './refusal.ts'
import type { UnverifiedToken } from './token.ts'

/** How far an issuer's clock may be from ours. */
const SKEW_SECONDS = 60

/**
 * Makes sure that a token was signed by a key of the provider's issuer, is meant for the provider's organisation, is
 * valid now, and says all that the provider requires. Throws 401, and 503 when the issuer's keys cannot be had.
 */
export async function verifyToken(deps: KeyDeps, provider: Provider, token: UnverifiedToken): Promise<void> {
  checkAddressees(provider, token)
  const { alg: algorithm, kid } = token
  if (!isAlgorithm(algorithm) || !provider.allowedAlgs.includes(algorithm)) throw refused('wrong_algorithm')
  checkTimes(token, nowSeconds(deps))
  const jwk = await findIssuerKey(deps, provider, { algorithm, kid })
  try {
    const { kty, crv, x, y, n, e } = jwk
    const parts = Object.fromEntries(
      Object.entries({ kty, crv, x, y, n, e }).filter(([, value]) => value !== undefined),
    )
    await jwtVerify(token.text, await importJWK({ kty, ...parts }, algorithm), {
      algorithms: [algorithm],
      issuer: provider.issuer,
      audience: [...provider.audiences],
      requiredClaims: ['exp'],
      clockTolerance: SKEW_SECONDS,
      currentDate: new Date(deps.now()),
    })
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw refused('expired')
    // The runtime itself refuses a published key that is not one, in words of its own.
    throw refused('bad_signature')
  }
  if (!meets(token.claims, provider.requiredClaims)) throw refused('condition_not_met')
}

function checkAddressees({ issuer, clientId, audiences }: Provider, token: UnverifiedToken): void {
  if (token.issuer !== issuer) throw refused('unknown_issuer')
  if (!token.audiences.some((audience) => audiences.includes(audience))) throw refused('wrong_audience')
  const { authorizedParty: party } = token
  if (party !== undefined && party !== clientId && !audiences.includes(party)) throw refused('wrong_party')
}

function checkTimes({ issuedAt, notBefore, claims }: UnverifiedToken, now: number): void {
  const latest = now + SKEW_SECONDS
  const { exp } = claims
  if (typeof exp !== 'number' || exp <= now - SKEW_SECONDS) throw refused('expired')
  if ((notBefore ?? 0) > latest || (issuedAt ?? 0) > latest || exp < (issuedAt ?? 0)) throw refused('bad_times')
}

import type { Deps } from '../../core/context.ts'
import { fits, isAlgorithm } from './algorithms.ts'
import { faultOf, fetchKeys } from './issuer-documents.ts'
import type { ProviderRow } from './providers.ts'

const failed = (detail: string) => ({
  ok: false,
  detail,
  jwks_uri: null,
  key_count: null,
  usable_key_count: null,
  algorithms: null,
})

/** Fetches what an issuer publishes as an exchange would, and says whether tokens of it could be verified. */
export async function checkIssuer(
  deps: Pick<Deps, 'outbound'>,
  { issuer, jwks_uri: jwksUri, allowed_algs }: Pick<ProviderRow, 'issuer' | 'jwks_uri' | 'allowed_algs'>,
) {
  try {
    const published = await fetchKeys(deps, { issuer, jwksUri: jwksUri ?? undefined })
    const allowed = allowed_algs.filter(isAlgorithm)
    const usable = published.keys.filter((key) => allowed.some((algorithm) => fits(key, algorithm)))
    return {
      ok: usable.length > 0,
      detail: usable.length > 0 ? 'The keys of the issuer can be used.' : 'No key fits an allowed algorithm.',
      jwks_uri: published.jwksUri,
      key_count: published.keys.length,
      usable_key_count: usable.length,
      algorithms: allowed.filter((algorithm) => usable.some((key) => fits(key, algorithm))),
    }
  } catch (error) {
    const fault = faultOf(error)
    if (fault === undefined) throw error
    return failed(fault)
  }
}

import { createOutbound } from '../../../src/adapters/outbound.ts'
import { AppError } from '../../../src/core/errors.ts'
import type { Provider } from '../../../src/features/oidc/provider.ts'
import { readToken } from '../../../src/features/oidc/token.ts'
import { verifyToken } from '../../../src/features/oidc/verify.ts'
import { fakeDeps, keptLog } from '../../support/fake-deps.ts'
import { CLIENT, type Issuer } from './issuer.ts'

/** A provider that takes the ID tokens of an issuer's client. */
export const providerOf = (issuer: string, given: Partial<Provider> = {}): Provider => ({
  id: 'idp_1',
  orgId: 'org_1',
  issuer,
  clientId: `${CLIENT.id}-RS256`,
  audiences: [`${CLIENT.id}-RS256`],
  jwksUri: undefined,
  allowedAlgs: ['RS256', 'ES256'],
  claimMap: {},
  requiredClaims: {},
  roleMap: {},
  defaultRole: 'readonly',
  autoCreate: false,
  maxRole: 'owner',
  ...given,
})

export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS

/** An isolate with a clock that only a test moves, and a real way out to one issuer. */
export function isolateFor(issuer: Pick<Issuer, 'url'>, given: Partial<Provider> = {}) {
  let nowMs = Date.now()
  const now = () => nowMs
  const { log, lines } = keptLog()
  const outbound = createOutbound({
    trustedOrigins: [],
    testOrigins: [issuer.url],
    deniedHosts: [],
    dohUrl: 'http://127.0.0.1:1/nobody',
    fetch: globalThis.fetch,
    now,
  })
  const deps = fakeDeps({ outbound, now, log })
  const provider = providerOf(issuer.url, given)
  return {
    deps,
    lines,
    provider,
    pass: (ms: number) => {
      nowMs += ms
    },
    verify: async (token: string) => verifyToken(deps, provider, readToken(token)),
    /** Why a token is refused: a reason of ours, or a code for what is no refusal; undefined for a good one. */
    reasonFor: async (token: string): Promise<unknown> => {
      try {
        await verifyToken(deps, provider, readToken(token))
        return undefined
      } catch (error) {
        if (!(error instanceof AppError)) throw error
        return error.code === 'invalid_credentials' ? error.cause : error.code
      }
    },
  }
}

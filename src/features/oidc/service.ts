import { nowSeconds } from '../../core/clock.ts'
import { AppError } from '../../core/errors.ts'
import { networkOf } from '../../core/ip-rules.ts'
import { takeOrRefuse } from '../../core/limiter.ts'
import { lesserRole } from '../../core/roles.ts'
import type { PublicCtx } from '../../http/route.ts'
import { markChanged } from '../records/service.ts'
import { openSession, type TokenPair } from '../sessions/service.ts'
import { meets, roleOf, subjectOf } from './claims.ts'
import { endSessions, recordsOf } from './endings.ts'
import { personOf } from './person.ts'
import { findProviders, type Provider } from './provider.ts'
import { refused } from './refusal.ts'
import { readToken, type UnverifiedToken } from './token.ts'

/** A token of another issuer, and where it was sent from. */
export type ExchangeRequest = {
  subjectToken: string
  /** Needed when more than one organisation trusts the issuer for the token's audience. */
  orgId?: string | undefined
  ip: string
  userAgent: string | null
}

/**
 * Opens a session for the bearer of another issuer's token (RFC 8693), in the organisation that trusts the issuer and
 * bound to it. Throws 401 `invalid_credentials`, the same for whatever is wrong with the token, 400 `invalid_request`
 * when the organisation has to be named, 429 beyond the limit of an address, 503 when the issuer's keys cannot be had,
 * and `DependencyError` when Redis or Postgres is away.
 */
export async function exchangeToken(ctx: PublicCtx, request: ExchangeRequest): Promise<TokenPair> {
  // Whoever may try as often as they like can also have us fetch keys as often.
  await takeOrRefuse(ctx, 'exchanges_per_ip', { subject: networkOf(request.ip) })
  let provider: Provider | undefined
  try {
    const token = readToken(request.subjectToken)
    provider = choose(await findProviders(ctx, token.issuer), token, request.orgId)
    return await exchange(ctx, { provider, token, request })
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid_credentials') {
      ctx.log.warn('oidc_refused', { request_id: ctx.requestId, provider_id: provider?.id, reason: error.cause })
    }
    throw error
  }
}

/**
 * The provider to verify a token for. What the token says is not known to be true yet, but each provider that it could
 * be for will verify the same claims; of several in one organisation the oldest counts.
 */
function choose(providers: readonly Provider[], token: UnverifiedToken, orgId: string | undefined): Provider {
  if (providers.length === 0) throw refused('unknown_issuer')
  const addressed = providers
    .filter((provider) => orgId === undefined || provider.orgId === orgId)
    .filter((provider) => token.audiences.some((audience) => provider.audiences.includes(audience)))
  if (addressed.length === 0) throw refused('wrong_audience')
  const candidates = addressed
    .filter(({ requiredClaims }) => meets(token.claims, requiredClaims))
    .sort((left, right) => (left.id < right.id ? -1 : 1))
  const [first] = candidates
  if (first === undefined) throw refused('condition_not_met')
  if (candidates.every((other) => other.orgId === first.orgId)) return first
  throw new AppError('invalid_request', 'More than one organisation trusts this issuer: name yours in org_id.', {
    param: 'org_id',
  })
}

type Exchange = { provider: Provider; token: UnverifiedToken; request: ExchangeRequest }

async function exchange(ctx: PublicCtx, { provider, token, request }: Exchange): Promise<TokenPair> {
  const { ip, userAgent } = request
  const { orgId } = provider
  // Loaded by the first token that comes this far. Not the library by itself: that would bring all of it along.
  const { verifyToken } = await import('./verify.ts')
  await verifyToken(ctx, provider, token)
  const maxRole = roleOf(provider, token.claims)
  const { userId, role } = await personOf(ctx, provider, {
    subject: subjectOf(provider, token.claims),
    role: maxRole,
    ip,
  })
  const pair = await openSession(ctx, {
    userId,
    orgId,
    role: lesserRole(role, maxRole),
    audience: 'helix',
    method: 'oidc',
    maxRole,
    ip,
    userAgent,
    action: 'session.exchange',
  })
  await confirm(ctx, provider)
  return pair
}

/**
 * A provider that was changed or deleted while its token was looked at ended its sessions before this one began: it ends
 * them again. Throws 401.
 */
async function confirm(ctx: PublicCtx, provider: Provider): Promise<void> {
  const [now] = (await findProviders(ctx, provider.issuer)).filter(({ id }) => id === provider.id)
  if (JSON.stringify(now) === JSON.stringify(provider)) return
  const ending = { orgId: provider.orgId, providerId: provider.id, now: nowSeconds(ctx) }
  const [ended] = await ctx.db.atomically(provider.orgId, (query) => [endSessions(query, ending)])
  await markChanged(ctx, recordsOf(ended))
  throw refused('provider_changed')
}

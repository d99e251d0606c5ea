import { judgeUrl } from '../../core/address.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError, unfit } from '../../core/errors.ts'
import { type Role, reaches, reachOf } from '../../core/roles.ts'
import type { ProviderBody } from './schema.ts'
import { keepsOthersOut, tenantClaimsOf } from './shared-issuers.ts'

/** A provider that may be stored. */
export type CheckedProvider = Omit<ProviderBody, 'audiences'> & { audiences: string[]; max_role: Role }

/**
 * What a caller may store of a provider that they describe. Throws 422 for what cannot be and for what would let in
 * anybody, and 403 for a role above the caller's own.
 */
export function checkProvider(
  { caller, settings }: Pick<Ctx, 'caller' | 'settings'>,
  body: ProviderBody,
): CheckedProvider {
  const testOrigins = new Set(settings.outboundTestOrigins)
  const audiences = body.audiences ?? (body.client_id === null ? [] : [body.client_id])
  if (audiences.length === 0) throw unfit('audiences', 'required without a client_id')
  checkIssuer(body.issuer, { own: settings.issuer, testOrigins })
  if (body.jwks_uri !== null) checkUrl('jwks_uri', body.jwks_uri, testOrigins)
  checkConditions(body)
  const reach = reachOf(caller)
  const granted = [body.default_role, ...Object.values(body.role_map)]
  if (reach === undefined || !granted.every((role) => reaches(reach, role))) {
    throw new AppError('permission_denied', 'Nobody gives a role above their own.')
  }
  return { ...body, audiences: [...new Set(audiences)], max_role: reach }
}

const urlFaults: Partial<Record<string, string>> = {
  malformed: 'must be a URL',
  scheme: 'must begin with https://',
  userinfo: 'may not carry a user name or password',
  port: 'may not name a port',
}

/** What the way out would refuse anyway is told here, as far as it can be without looking a name up. */
function checkUrl(field: string, text: string, testOrigins: ReadonlySet<string>): URL {
  const verdict = judgeUrl(text, { testOrigins, deniedHosts: [] })
  if (!verdict.allowed) throw unfit(field, urlFaults[verdict.refusal] ?? 'must name a host on the public Internet')
  return verdict.url
}

function checkIssuer(issuer: string, { own, testOrigins }: { own: string; testOrigins: ReadonlySet<string> }): void {
  const url = checkUrl('issuer', issuer, testOrigins)
  if (/[?#\s]/.test(issuer)) throw unfit('issuer', 'may not have a query or a fragment')
  if (url.origin === URL.parse(own)?.origin) throw unfit('issuer', 'is this gateway itself')
}

function checkConditions({ issuer, auto_create, required_claims }: ProviderBody): void {
  if (!auto_create || keepsOthersOut(issuer, required_claims)) return
  const claims = tenantClaimsOf(issuer)?.join(', ')
  throw unfit(
    'required_claims',
    `this issuer signs for anybody who has an account there: with auto_create, require the exact value of one of ${claims}, or its beginning with the owner's name and a slash before the asterisk`,
  )
}

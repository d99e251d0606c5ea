import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { addressOf } from '../../http/credential.ts'
import { findSession, type SessionRecord } from '../sessions/service.ts'

/** Where a sign-in comes from, as its session remembers it. */
export type Client = { ip: string; userAgent: string | null }

export const clientOf = (request: Request): Client => ({
  ip: addressOf(request),
  userAgent: request.headers.get('user-agent'),
})

/** Unknown, wrong, locked and inactive look the same. */
export const invalidCredentials = () =>
  new AppError('invalid_credentials', 'The username or the password is not right, or this account cannot sign in.')

/** The person who is signed in. */
export function personOf({ caller }: Pick<Ctx, 'caller'>): string {
  if (caller.userId === undefined) throw new AppError('permission_denied', 'Nobody is signed in by this credential.')
  return caller.userId
}

/** The session of a call. Throws 401 when it has ended in the meantime. */
async function currentSession(ctx: Ctx): Promise<SessionRecord> {
  const session = await findSession(ctx, ctx.caller.orgId, ctx.caller.keyId)
  if (session) return session
  throw new AppError('invalid_credentials', 'This session is over. Sign in again.')
}

/** Whether the session is one that another issuer vouched for: it is bound to its organisation. Throws 401. */
export const isBound = async (ctx: Ctx): Promise<boolean> => (await currentSession(ctx)).method === 'oidc'

/** The session of a call that reaches beyond its organisation. Throws 403 for one that another issuer vouched for, and 401. */
export async function requireOwnSession(ctx: Ctx): Promise<SessionRecord> {
  const session = await currentSession(ctx)
  if (session.method !== 'oidc') return session
  throw new AppError('permission_denied', 'A session of an external issuer cannot do this: sign in with a password.')
}

import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import { sqlStateOf } from '../../core/db.ts'
import { AppError } from '../../core/errors.ts'
import { networkOf } from '../../core/ip-rules.ts'
import { takeOrRefuse } from '../../core/limiter.ts'
import { hashSecretToken } from '../../core/secret-token.ts'
import type { PublicCtx } from '../../http/route.ts'
import { acceptInvitation } from '../members/service.ts'
import { refuseWeak } from '../passwords/service.ts'
import { openSession, type TokenPair } from '../sessions/service.ts'
import { foldName } from '../users/service.ts'
import { type Founded, found } from './founding.ts'
import { type Client, clientOf } from './guard.ts'
import { mailLater, verificationMail } from './mails.ts'
import type { Bootstrap, Registration } from './schema.ts'

type Joined = Founded & TokenPair

/** Makes an account and signs in: in an organisation of its own, or in the one of an invitation. */
export async function register(ctx: PublicCtx, wanted: Registration, request: Request): Promise<Joined> {
  if (wanted.invite_token === undefined && ctx.settings.registration !== 'open') {
    throw new AppError('permission_denied', 'Registration is closed here: ask for an invitation.')
  }
  const client = clientOf(request)
  if (wanted.invite_token === undefined) refuseWeak({ ...wanted, field: 'password' })
  await takeOrRefuse(ctx, 'registrations_per_ip', { subject: networkOf(client.ip) })
  if (wanted.invite_token !== undefined) return join(ctx, wanted, { token: wanted.invite_token, client })
  const { username, email, password, org_name: orgName = username } = wanted
  const { verifyToken, ...founded } = await found(
    ctx,
    { username, email, password, orgName },
    { action: 'org.create', verified: false, client },
  )
  if (verifyToken !== undefined) {
    const { issuer } = ctx.settings
    mailLater(ctx, verificationMail({ to: email, username, token: verifyToken, issuer }))
  }
  return { ...founded, ...(await signInAsOwner(ctx, founded, client)) }
}

/** The invitation's address must be the one that was given: holding the mail proves that one and no other. */
async function join(
  ctx: PublicCtx,
  { username, email, password }: Registration,
  { token, client }: { token: string; client: Client },
): Promise<Joined> {
  const [invitation] = await ctx.db.query(sql`select email from find_invitation(${await hashSecretToken(token)})`)
  if (invitation !== undefined && foldName(String(invitation.email)) !== foldName(email)) {
    throw new AppError('permission_denied', 'The invitation is for another address.')
  }
  return acceptInvitation(ctx, { token, username, password, ...client })
}

const nothingToSetUp = () =>
  new AppError('not_found', 'There is nothing to set up: no such token, or there is an operator already.')

/** The first operator with the first organisation, for whoever holds the token that the installation printed. */
export async function bootstrap(ctx: PublicCtx, wanted: Bootstrap, request: Request): Promise<Joined> {
  const now = nowSeconds(ctx)
  const [state] = await ctx.db.query(sql`select bootstrap_is_open(${now}) as is_open`)
  if (state?.is_open !== true) throw nothingToSetUp()
  const client = clientOf(request)
  refuseWeak({ ...wanted, field: 'password' })
  await takeOrRefuse(ctx, 'bootstraps_per_ip', { subject: networkOf(client.ip) })
  const { token, username, email, password, org_name: orgName } = wanted
  const hash = await hashSecretToken(token)
  try {
    const { verifyToken: _none, ...founded } = await found(
      ctx,
      { username, email, password, orgName },
      {
        action: 'installation.bootstrap',
        verified: true,
        client,
        last: (userId) => sql`select use_bootstrap_token(${hash}, ${userId}, ${now})`,
      },
    )
    return { ...founded, ...(await signInAsOwner(ctx, founded, client)) }
  } catch (error) {
    if (sqlStateOf(error) === 'HX404') throw nothingToSetUp()
    throw error
  }
}

const signInAsOwner = (ctx: PublicCtx, { user, org, role }: Founded, client: Client): Promise<TokenPair> =>
  openSession(ctx, {
    userId: user.id,
    orgId: org.id,
    role,
    audience: 'helix',
    method: 'password',
    ...client,
  })

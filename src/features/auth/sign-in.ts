import { sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import { AppError } from '../../core/errors.ts'
import { networkOf } from '../../core/ip-rules.ts'
import { takeOrRefuse } from '../../core/limiter.ts'
import type { PublicCtx } from '../../http/route.ts'
import { enterHashGate, hashPassword, hashWaitSeconds, verifyPassword } from '../passwords/service.ts'
import { openSession, type TokenPair } from '../sessions/service.ts'
import { findLogin, findMemberships, foldName, type Login, type Membership } from '../users/service.ts'
import { type Client, clientOf, invalidCredentials } from './guard.ts'
import type { SignIn } from './schema.ts'
import { auditEverywhere } from './trail.ts'

/** Failures in a row after which an organisation's owners are told, and after which the account is locked. */
const TOLD_AT = 5
const LOCKED_AT = 10

/**
 * A new session for a username or an address and a password. Throws 401 with the same words and after the same work for
 * whatever is not right with them, 403 without a live membership, 429, and `DependencyError`.
 */
export async function signIn(ctx: PublicCtx, tried: SignIn, request: Request): Promise<TokenPair> {
  const client = clientOf(request)
  const network = networkOf(client.ip)
  const who = `${network} ${foldName(tried.username)}`
  await takeOrRefuse(ctx, 'logins_per_ip', { subject: network })
  await takeOrRefuse(ctx, 'logins_per_ip_and_name', { subject: who })
  const { login, needsRehash } = await checkLogin(ctx, tried, client)
  if (login === undefined || (tried.audience === 'helix-admin' && !login.isOperator)) throw invalidCredentials()
  const [memberships] = await Promise.all([
    findMemberships(ctx, login.id),
    ctx.limiter.reset('logins_per_ip_and_name', who),
  ])
  const { orgId, role } = chooseMembership(memberships, tried.org_id)
  const { id: userId, passwordHash } = login
  const { audience } = tried
  const proven = { userId, orgId, role, audience, method: 'password', passwordHash, ...client } as const
  const pair = await openSession(ctx, proven)
  // Not before the session rests on the hash that was checked.
  if (needsRehash) ctx.defer(afterReply(() => rehash(ctx, login, tried.password)))
  return pair
}

/** The membership to act under. Throws 403 when there is none that is alive. */
export function chooseMembership(memberships: readonly Membership[], orgId: string | undefined): Membership {
  const live = memberships.filter(({ isLive }) => isLive)
  const chosen = orgId === undefined ? live[0] : live.find((membership) => membership.orgId === orgId)
  if (chosen) return chosen
  throw new AppError(
    'permission_denied',
    orgId === undefined
      ? 'You are not an active member of any active organisation.'
      : 'You are not an active member of this organisation, or it is not active.',
  )
}

type Checked = { login: Login | undefined; needsRehash: boolean }

const nobody: Checked = { login: undefined, needsRehash: false }

/** Who it is, if they may sign in. Costs one hash, whoever asks; what follows from it waits until after the reply. */
async function checkLogin(ctx: PublicCtx, tried: SignIn, client: Client): Promise<Checked> {
  enterHashGate(ctx)
  const { passwordPepper } = ctx.settings
  const login = await findLogin(ctx, tried.username)
  const { ok, needsRehash } = await verifyPassword(passwordPepper, tried.password, login?.passwordHash)
  if (!login?.isActive || (login.lockedUntil ?? 0) > nowSeconds(ctx)) return nobody
  if (!ok) {
    ctx.defer(afterReply(() => noteFailure(ctx, login, client)))
    return nobody
  }
  ctx.defer(afterReply(() => noteSuccess(ctx, login)))
  return { login, needsRehash }
}

/** Begins work when the reply is made: a statement that is only put together before it would tell who has an account. */
const afterReply = async (work: () => Promise<void>): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, 0))
  await work()
}

async function noteSuccess(ctx: PublicCtx, { id }: Login): Promise<void> {
  await ctx.db.query(sql`select from note_login(${id}, true, ${nowSeconds(ctx)})`)
}

async function noteFailure(ctx: PublicCtx, { id }: Login, { ip }: Client): Promise<void> {
  const [row] = await ctx.db.query(sql`select * from note_login(${id}, false, ${nowSeconds(ctx)})`)
  // The one that locks the account begins a new count.
  const failures = Number(row?.failed_logins) || LOCKED_AT
  if (row === undefined || (failures !== TOLD_AT && failures !== LOCKED_AT)) return
  const details = { failures, locked: failures === LOCKED_AT }
  ctx.log.warn('login_failed', { request_id: ctx.requestId, user_id: id, ...details })
  await auditEverywhere(ctx, id, {
    actor: { kind: 'anonymous', id: null, ip },
    action: 'login.failed',
    target: { kind: 'user', id },
    details,
  })
}

/**
 * Stores the same password at today's cost, unless it has been changed since it was checked. An isolate that is busy
 * leaves it to the next sign-in.
 */
async function rehash(ctx: PublicCtx, { id, username, passwordHash }: Login, password: string): Promise<void> {
  if (hashWaitSeconds(ctx) > 0) return
  const hash = await hashPassword(ctx.settings.passwordPepper, password)
  await ctx.db.query(sql`
    select set_password(l.id, ${hash}, ${nowSeconds(ctx)}) from find_login(${foldName(username)}) l
    where l.id = ${id} and l.password_hash = ${passwordHash}
  `)
}

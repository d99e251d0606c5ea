import type { SQL } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import { sqlStateOf } from '../../core/db.ts'
import { AppError } from '../../core/errors.ts'
import type { Role } from '../../core/roles.ts'
import { hashSecretToken, newSecretToken } from '../../core/secret-token.ts'
import type { PublicCtx } from '../../http/route.ts'
import { auditLog, auditRow } from '../audit/service.ts'
import { newOrg } from '../orgs/service.ts'
import { orgs } from '../orgs/table.ts'
import { newPasswordHash } from '../passwords/service.ts'
import { createUserStatement, findLogin } from '../users/service.ts'
import { memberships, userTokens } from '../users/table.ts'
import type { Client } from './guard.ts'

const VERIFY_SECONDS = 24 * 3600

export type Founder = { username: string; email: string; password: string; orgName: string }
export type Founded = {
  user: { id: string; username: string; email: string; email_verified: boolean }
  org: { id: string; name: string }
  role: Role
}

type How = {
  action: string
  /** Whether the address is known to be the founder's. */
  verified: boolean
  client: Client
  /** One more statement at the end of the transaction, which can still undo it all. */
  last?: ((userId: string) => SQL) | undefined
}

/**
 * Makes a person and an organisation of theirs in one transaction. Also gives the token that verifies their address,
 * unless that is known to be theirs. Throws 409 naming the field, 422 and 429.
 */
export async function found(
  ctx: PublicCtx,
  founder: Founder,
  { action, verified, client, last }: How,
): Promise<Founded & { verifyToken: string | undefined }> {
  const { username, email, password } = founder
  await refuseTaken(ctx, founder)
  const passwordHash = await newPasswordHash(ctx, { password, username, field: 'password' })
  const [userId, org, now] = [ctx.newId('usr'), newOrg(ctx, founder.orgName), nowSeconds(ctx)]
  const times = { created_at: now, updated_at: now }
  const token = verified ? undefined : await newUserToken({ userId, email, purpose: 'verify_email', now })
  const audit = await auditRow(ctx, {
    orgId: org.id,
    actor: { kind: 'user', id: userId, ip: client.ip },
    action,
    target: { kind: 'org', id: org.id },
    details: { name: org.name, slug: org.slug },
  })
  const account = { id: userId, username, email, passwordHash, verifiedAt: verified ? now : null, now }
  const work = ctx.db.atomically(org.id, (query) => [
    query.insert(orgs).values(org),
    query.execute(createUserStatement(account)),
    query.insert(memberships).values({ org_id: org.id, user_id: userId, role: 'owner', ...times }),
    query.insert(auditLog).values(audit),
    ...(token === undefined ? [] : [query.insert(userTokens).values(token.row)]),
    ...(last === undefined ? [] : [query.execute(last(userId))]),
  ])
  await work.catch(async (error: unknown) => {
    if (sqlStateOf(error) === '23505') await refuseTaken(ctx, founder)
    throw error
  })
  return {
    user: { id: userId, username, email, email_verified: verified },
    org: { id: org.id, name: org.name },
    role: 'owner',
    verifyToken: token?.token,
  }
}

/** Throws 409 naming what another person has already. */
export async function refuseTaken(ctx: PublicCtx, wanted: { username?: string; email?: string }): Promise<void> {
  for (const field of ['username', 'email'] as const) {
    const name = wanted[field]
    if (name === undefined || (await findLogin(ctx, name)) === undefined) continue
    const detail = 'is taken already'
    const fields = [{ pointer: `/${field}`, detail }]
    throw new AppError('conflict', `${field}: ${detail}`, { param: field, fields })
  }
}

type Purpose = (typeof userTokens.$inferInsert)['purpose']

/** A token to be mailed, and the row that knows it again. */
export async function newUserToken(of: {
  userId: string
  email: string
  purpose: Purpose
  now: number
  seconds?: number
}) {
  const { userId, email, purpose, now, seconds = VERIFY_SECONDS } = of
  const token = newSecretToken('hxt')
  const row: typeof userTokens.$inferInsert = {
    token_hash: await hashSecretToken(token),
    user_id: userId,
    purpose,
    email,
    expires_at: now + seconds,
    created_at: now,
  }
  return { token, row }
}

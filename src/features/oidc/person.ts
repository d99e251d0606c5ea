import { and, eq, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import { sqlStateOf } from '../../core/db.ts'
import { type Role, reaches } from '../../core/roles.ts'
import type { PublicCtx } from '../../http/route.ts'
import { auditLog, auditRow } from '../audit/service.ts'
import { orgs } from '../orgs/table.ts'
import { createUserStatement, findLogin } from '../users/service.ts'
import { memberships, users } from '../users/table.ts'
import { accountOf, emailOf, type Newcomer, usernamesFor } from './account.ts'
import type { Provider } from './provider.ts'
import { refused } from './refusal.ts'
import { oidcIdentities } from './table.ts'

const DUPLICATE = '23505'
const NO_ROOM = 'HX409'
const MAX_MEMBERS = 1000
const MAX_TRIES = 3

/** A member of the provider's organisation; `role` is the membership's. */
export type Person = { userId: string; role: Role }

/** Whom a verified token is about. */
export type Bearer = Newcomer & { ip: string }

/**
 * The member that a subject is, or becomes: by its identity, by a verified address of a member, or as a new person.
 * Throws 401 for everybody else, and `DependencyError('postgres')`.
 */
export async function personOf(ctx: PublicCtx, provider: Provider, bearer: Bearer): Promise<Person> {
  for (let tries = 1; ; tries += 1) {
    const known = await findKnown(ctx, provider, bearer)
    if (known) return known
    if (!provider.autoCreate) throw refused('unknown_subject')
    try {
      return (await linkByEmail(ctx, provider, bearer)) ?? (await createPerson(ctx, provider, bearer))
    } catch (error) {
      const state = sqlStateOf(error)
      if (state === NO_ROOM) throw refused('org_full')
      // Somebody took the name or the address in the meantime, or the same subject came twice: look again.
      if (state !== DUPLICATE) throw error
      if (tries === MAX_TRIES) throw refused('email_taken')
    }
  }
}

/** Undefined for a subject that was never here. Throws 401 for one who may not be here any more. */
async function findKnown(ctx: PublicCtx, provider: Provider, bearer: Bearer): Promise<Person | undefined> {
  const [[row]] = await ctx.db.atomically(provider.orgId, (query) => [
    query
      .select({
        userId: oidcIdentities.user_id,
        role: memberships.role,
        isActive: sql<boolean>`coalesce(${memberships.is_active} and ${users.is_active}, false)`,
      })
      .from(oidcIdentities)
      .leftJoin(
        memberships,
        and(eq(memberships.org_id, oidcIdentities.org_id), eq(memberships.user_id, oidcIdentities.user_id)),
      )
      .leftJoin(users, eq(users.id, memberships.user_id))
      .where(
        and(
          eq(oidcIdentities.org_id, provider.orgId),
          eq(oidcIdentities.provider_id, provider.id),
          eq(oidcIdentities.subject, bearer.subject.subject),
        ),
      ),
  ])
  if (!row) return undefined
  if (row.role === null || !row.isActive) throw refused('not_a_member')
  return within(provider, { userId: row.userId, role: row.role })
}

/**
 * Whoever configured an issuer decides who comes through it, and could come as anybody: so it vouches for nobody above
 * them. Throws 401.
 */
function within({ maxRole }: Provider, person: Person): Person {
  if (!reaches(maxRole, person.role)) throw refused('above_provider')
  return person
}

/**
 * An address may lead to a member whose own it is, as both the issuer and we have made sure, and to nobody else: not to
 * somebody of another organisation, whom this issuer has no say about, and not to a member who already comes from this
 * issuer under another subject, since an address can pass from one person to the next. Throws 401 for these.
 */
async function linkByEmail(ctx: PublicCtx, provider: Provider, bearer: Bearer): Promise<Person | undefined> {
  const email = emailOf(bearer.subject)
  const owner = email === undefined ? undefined : await findLogin(ctx, email)
  if (!owner) return undefined
  const { orgId } = provider
  const [[member], [other]] = await ctx.db.atomically(orgId, (query) => [
    query
      .select({ role: memberships.role, verifiedAt: users.email_verified_at })
      .from(memberships)
      .innerJoin(users, eq(users.id, memberships.user_id))
      .where(
        and(eq(memberships.org_id, orgId), eq(memberships.user_id, owner.id), memberships.is_active, users.is_active),
      ),
    query
      .select({ id: oidcIdentities.id })
      .from(oidcIdentities)
      .where(
        and(
          eq(oidcIdentities.org_id, orgId),
          eq(oidcIdentities.provider_id, provider.id),
          eq(oidcIdentities.user_id, owner.id),
        ),
      ),
  ])
  const isSame = bearer.subject.isEmailVerified && member !== undefined && member.verifiedAt !== null
  if (!isSame || other) throw refused('email_taken')
  const person = within(provider, { userId: owner.id, role: member.role })
  const audit = await auditOf(ctx, provider, { action: 'oidc.link', userId: owner.id, bearer })
  await ctx.db.atomically(orgId, (query) => [
    query.insert(oidcIdentities).values(identityOf(ctx, provider, { userId: owner.id, bearer })),
    query.insert(auditLog).values(audit),
  ])
  return person
}

async function createPerson(ctx: PublicCtx, provider: Provider, bearer: Bearer): Promise<Person> {
  const { orgId } = provider
  const { role } = bearer
  const userId = ctx.newId('usr')
  const now = nowSeconds(ctx)
  const [name, otherName] = await usernamesFor(provider, bearer.subject)
  const username = (await findLogin(ctx, name)) ? otherName : name
  const account = accountOf(bearer, { id: userId, username, now })
  const audit = await auditOf(ctx, provider, { action: 'oidc.create', userId, bearer })
  await ctx.db.atomically(orgId, (query) => [
    // Whoever joins at the same time waits here, so that all of them are counted.
    query.select({ id: orgs.id }).from(orgs).where(eq(orgs.id, orgId)).for('update'),
    query.execute(sql`select require(
      (select count(*) from ${memberships} where org_id = ${orgId}) <
        (select coalesce((settings->>'member_limit')::int, ${MAX_MEMBERS}) from ${orgs} where id = ${orgId}),
      ${NO_ROOM}
    )`),
    query.execute(createUserStatement(account)),
    query
      .insert(memberships)
      .values({ org_id: orgId, user_id: userId, role, is_active: true, created_at: now, updated_at: now }),
    query.insert(oidcIdentities).values(identityOf(ctx, provider, { userId, bearer })),
    query.insert(auditLog).values(audit),
  ])
  return { userId, role }
}

const identityOf = (ctx: PublicCtx, provider: Provider, { userId, bearer }: { userId: string; bearer: Bearer }) => ({
  id: ctx.newId('idn'),
  org_id: provider.orgId,
  provider_id: provider.id,
  subject: bearer.subject.subject,
  user_id: userId,
  created_at: nowSeconds(ctx),
})

const auditOf = (
  ctx: PublicCtx,
  provider: Provider,
  { action, userId, bearer }: { action: string; userId: string; bearer: Bearer },
) =>
  auditRow(ctx, {
    orgId: provider.orgId,
    actor: { kind: 'system', id: provider.id, ip: bearer.ip },
    action,
    target: { kind: 'user', id: userId },
    details: { provider_id: provider.id, role: bearer.role },
  })

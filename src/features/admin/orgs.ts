import { and, eq, isNull, sql } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import type { Row } from '../../core/db.ts'
import { AppError, notFound } from '../../core/errors.ts'
import { auditLog } from '../audit/service.ts'
import { findAccess, markAll } from '../members/service.ts'
import { orgs } from '../orgs/table.ts'
import { Org, type OrgPatch, type Search } from './schema.ts'
import { noteAtHome, rowIn } from './trail.ts'

/** Organisations of the installation, one more than asked for, deleted ones among them. */
export async function listOrgs(ctx: Ctx, { limit, after, search }: Search): Promise<Org[]> {
  await noteAtHome(ctx, { action: 'admin.orgs.list', details: { search, after } })
  const rows = await ctx.db.query(sql`select * from admin_orgs(${search ?? null}, ${after ?? null}, ${limit + 1})`)
  return rows.map(orgOf)
}

const orgOf = (row: Row): Org =>
  Org.parse({
    ...row,
    members: Number(row.members),
    created_at: Number(row.created_at),
    deleted_at: row.deleted_at === null ? null : Number(row.deleted_at),
  })

/** Throws 404. */
async function findOrg({ db }: Ctx, id: string): Promise<Org> {
  const [row] = await db.query(sql`select * from admin_orgs(${id}, null, 2147483647) where id = ${id}`)
  const org = row && orgOf(row)
  if (!org || org.deleted_at !== null) throw notFound('organisation')
  return org
}

/** Throws 404, also for a deleted organisation, and 409 for the one that the operator is signed in to. */
export async function changeOrg(ctx: Ctx, id: string, change: OrgPatch): Promise<Org> {
  const before = await findOrg(ctx, id)
  if (change.status === 'suspended' && id === ctx.caller.orgId) {
    throw new AppError('conflict', 'Nobody suspends the organisation that they are signed in to.')
  }
  const after = { ...before, ...definedOf(change) }
  const [was, is] = [stateOf(before), stateOf(after)]
  const act = {
    action: 'admin.org.update',
    target: { kind: 'org', id },
    before: was,
    after: is,
    details: { before: was, after: is },
  }
  if (id !== ctx.caller.orgId) await noteAtHome(ctx, act)
  const row = await rowIn(ctx, id, act)
  const now = nowSeconds(ctx)
  const [, sessions, keys] = await ctx.db.atomically(id, (query) => [
    query
      .update(orgs)
      .set({ ...definedOf(change), updated_at: now })
      .where(and(eq(orgs.id, id), isNull(orgs.deleted_at))),
    ...findAccess(query, { orgId: id, now }),
    query.insert(auditLog).values(row),
  ])
  await markAll(ctx, sessions, keys)
  return after
}

const stateOf = ({ status, plan }: Org) => ({ status, plan })

const definedOf = ({ status, plan }: OrgPatch) => ({
  ...(status !== undefined && { status }),
  ...(plan !== undefined && { plan }),
})

import { eq, type SQL, sql } from 'drizzle-orm'
import * as z from 'zod'
import { secondsOf } from '../../core/clock.ts'
import type { Deps } from '../../core/context.ts'
import type { QueryBuilder } from '../../core/db.ts'
import { orgs } from './table.ts'

export const OrgName = z.string().trim().min(1).max(255)

const SLUG_WORDS = 40
const SLUG_TAIL = 6

/** A name as it may stand in a URL, with a tail that no other organisation has: `my-team-4f7k2q`. */
function slugOf(name: string, id: string): string {
  const words = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}/gu, '')
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, SLUG_WORDS)
    .replace(/^-+|-+$/g, '')
  return `${words || 'org'}-${id.slice(-SLUG_TAIL)}`
}

export type NewOrg = typeof orgs.$inferInsert & { settings: Record<string, unknown> }

/** The row of a new organisation on the free plan. */
export function newOrg({ newId, now }: Pick<Deps, 'newId' | 'now'>, name: string): NewOrg {
  const id = newId('org')
  const at = secondsOf(now())
  return {
    id,
    name,
    slug: slugOf(name, id),
    plan: 'free',
    status: 'active',
    settings: {},
    created_at: at,
    updated_at: at,
  }
}

/** Whoever changes what an organisation may have only so much of waits for others who do, and counts what they left. */
export const queueFor = (query: QueryBuilder, orgId: string) =>
  query.select({ id: orgs.id }).from(orgs).where(eq(orgs.id, orgId)).for('no key update')

/** Ends a transaction with a state of ours (`sqlStateOf`) unless something holds. */
export const requireThat = (query: QueryBuilder, held: SQL, state: string) =>
  query.execute(sql`select require(${held}, ${state})`)

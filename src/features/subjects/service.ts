import { and, desc, eq, or, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Ctx, Deps } from '../../core/context.ts'
import { unfit } from '../../core/errors.ts'
import { recordsOfKeys } from '../keys/service.ts'
import { apiKeys } from '../keys/table.ts'
import { markChanged, recordKeys } from '../records/service.ts'
import { sessionRecordsOf } from '../sessions/service.ts'
import { memberships } from '../users/table.ts'

const MARKS_AT_ONCE = 500

/** Whom a limit or a budget binds: an organisation, one of its people or one of its keys. */
export type Subject = { subject_kind: 'org' | 'user' | 'key'; subject_id: string }
type NamedSubject = { subject_kind: Subject['subject_kind']; subject_id?: string | undefined }
/** With the person whom a key belongs to. */
export type KnownSubject = Subject & { userId: string | undefined }

/**
 * A subject of the caller's organisation, which is the one that need not be named. A key goes by the name of the newest
 * of its line, since what binds a key binds every one that replaces it.
 * Throws 422, which names the field that the id came in, for every other one: whether it is another organisation's or
 * nobody's is not told.
 */
export async function requireSubject(
  ctx: Ctx,
  { subject_kind, subject_id }: NamedSubject,
  field = 'subject_id',
): Promise<KnownSubject> {
  const { orgId } = ctx.caller
  if (subject_kind === 'org' && (subject_id ?? orgId) === orgId) {
    return { subject_kind, subject_id: orgId, userId: undefined }
  }
  if (subject_id === undefined) throw unfit(field, 'is missing')
  const known = await (subject_kind === 'key' ? newestOfLine(ctx, subject_id) : findMember(ctx, subject_id))
  if (known === undefined) throw unfit(field, `is not the id of ${nouns[subject_kind]}`)
  return { subject_kind, subject_id: known.id, userId: known.userId ?? undefined }
}

const nouns: Readonly<Record<Subject['subject_kind'], string>> = {
  org: 'your organisation',
  user: 'a member',
  key: 'a key that works',
}

/** The person behind a subject is null for a key that nobody made. */
type Found = { id: string; userId: string | null }

async function findMember({ db, caller: { orgId } }: Ctx, userId: string): Promise<Found | undefined> {
  const [[row]] = await db.atomically(orgId, (query) => [
    query
      .select({ id: memberships.user_id, userId: memberships.user_id })
      .from(memberships)
      .where(and(eq(memberships.org_id, orgId), eq(memberships.user_id, userId))),
  ])
  return row
}

/** Only a key that works can be named: undefined for a revoked one, and for one that the organisation does not have. */
async function newestOfLine(ctx: Ctx, keyId: string): Promise<Found | undefined> {
  const line = await findLine(ctx, keyId)
  const isLive = line.some(({ id, revokedAt }) => id === keyId && revokedAt === null)
  return isLive ? line[0] : undefined
}

/** A key with those that it replaced and those that replaced it, the newest first; none for an unknown key. */
async function findLine({ db, caller: { orgId } }: Pick<World, 'db' | 'caller'>, keyId: string) {
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select({ id: apiKeys.id, hash: apiKeys.secret_hash, userId: apiKeys.user_id, revokedAt: apiKeys.revoked_at })
      .from(apiKeys)
      .where(and(eq(apiKeys.org_id, orgId), sql`${apiKeys.root_id} = (${rootOf(orgId, keyId)})`))
      .orderBy(desc(apiKeys.created_at), desc(apiKeys.id)),
  ])
  return rows
}

const rootOf = (orgId: string, keyId: string): SQL =>
  sql`select k.root_id from ${apiKeys} k where k.org_id = ${orgId} and k.id = ${keyId}`

/** Whether a column names a key or one of its line, whichever of them is asked for; any other subject is only itself. */
export const namesSubject = (column: PgColumn, orgId: string, subjectId: string): SQL | undefined =>
  or(
    eq(column, subjectId),
    sql`${column} in (select l.id from ${apiKeys} l where l.org_id = ${orgId} and l.root_id = (${rootOf(orgId, subjectId)}))`,
  )

type World = Pick<Deps, 'db' | 'redis' | 'log' | 'now' | 'newId'> & { caller: Pick<Ctx['caller'], 'orgId'> }

/**
 * Has the next call of everybody know of a change: of one person, of a key and its line, or (for any other kind) of all.
 */
export async function markSubject(
  ctx: World,
  { subject_kind, subject_id }: { subject_kind: string; subject_id: string },
): Promise<void> {
  const records =
    subject_kind === 'key'
      ? await recordsOfKey(ctx, subject_id)
      : await recordsOfPeople(ctx, subject_kind === 'user' ? subject_id : undefined)
  for (let at = 0; at < records.length; at += MARKS_AT_ONCE) {
    await markChanged(ctx, records.slice(at, at + MARKS_AT_ONCE))
  }
}

async function recordsOfKey(ctx: World, keyId: string): Promise<string[]> {
  const line = await findLine(ctx, keyId)
  return line.flatMap(({ hash, revokedAt }) => (revokedAt === null ? [recordKeys.key(hash)] : []))
}

async function recordsOfPeople(ctx: World, userId: string | undefined): Promise<string[]> {
  const { orgId } = ctx.caller
  return (await Promise.all([recordsOfKeys(ctx, orgId, userId), sessionRecordsOf(ctx, orgId, userId)])).flat()
}

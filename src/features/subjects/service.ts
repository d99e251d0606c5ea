import { and, eq, isNull } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
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
 * A subject of the caller's organisation, which is the one that need not be named.
 * Throws 422 for every other one: whether it is another organisation's or nobody's is not told.
 */
export async function requireSubject(ctx: Ctx, { subject_kind, subject_id }: NamedSubject): Promise<KnownSubject> {
  const { orgId } = ctx.caller
  if (subject_kind === 'org' && (subject_id ?? orgId) === orgId) {
    return { subject_kind, subject_id: orgId, userId: undefined }
  }
  if (subject_id === undefined) throw unfit('subject_id', 'is missing')
  const userId = await personOf(ctx, { subject_kind, subject_id })
  if (userId === undefined) throw unfit('subject_id', `is not the id of ${nouns[subject_kind]}`)
  return { subject_kind, subject_id, userId: userId ?? undefined }
}

/** Null for a key that nobody made; undefined for what the organisation does not have. */
async function personOf(ctx: Ctx, { subject_kind, subject_id }: Subject): Promise<string | null | undefined> {
  if (subject_kind === 'user') return findMember(ctx, subject_id)
  return subject_kind === 'key' ? (await findLiveKey(ctx, subject_id))?.userId : undefined
}

const nouns: Readonly<Record<Subject['subject_kind'], string>> = {
  org: 'your organisation',
  user: 'a member',
  key: 'a key that works',
}

async function findMember({ db, caller: { orgId } }: Ctx, userId: string): Promise<string | undefined> {
  const [[row]] = await db.atomically(orgId, (query) => [
    query
      .select({ id: memberships.user_id })
      .from(memberships)
      .where(and(eq(memberships.org_id, orgId), eq(memberships.user_id, userId))),
  ])
  return row?.id
}

async function findLiveKey({ db, caller: { orgId } }: Ctx, keyId: string) {
  const [[row]] = await db.atomically(orgId, (query) => [
    query
      .select({ hash: apiKeys.secret_hash, userId: apiKeys.user_id })
      .from(apiKeys)
      .where(and(eq(apiKeys.org_id, orgId), eq(apiKeys.id, keyId), isNull(apiKeys.revoked_at))),
  ])
  return row
}

/** Has the next call of everybody know of a change: of one person, of one key, or (for any other kind) of all. */
export async function markSubject(
  ctx: Ctx,
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

async function recordsOfKey(ctx: Ctx, keyId: string): Promise<string[]> {
  const key = await findLiveKey(ctx, keyId)
  return key ? [recordKeys.key(key.hash)] : []
}

async function recordsOfPeople(ctx: Ctx, userId: string | undefined): Promise<string[]> {
  const { orgId } = ctx.caller
  return (await Promise.all([recordsOfKeys(ctx, orgId, userId), sessionRecordsOf(ctx, orgId, userId)])).flat()
}

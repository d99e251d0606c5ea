import { and, eq, isNull } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { resolveModel } from '../catalog/service.ts'
import { recordsOfKeys } from '../keys/service.ts'
import { apiKeys } from '../keys/table.ts'
import { markChanged, recordKeys } from '../records/service.ts'
import { sessionRecordsOf } from '../sessions/service.ts'
import { memberships } from '../users/table.ts'
import type { BudgetRow } from './rows.ts'

type Subject = Pick<BudgetRow, 'subject_kind' | 'subject_id'>

const MARKS_AT_ONCE = 500

type NamedSubject = { subject_kind: Subject['subject_kind']; subject_id?: string | undefined }

/** Whom a budget is for, by their id. Throws 422 for somebody or something that is not of the caller's organisation. */
export async function requireSubject(ctx: Ctx, { subject_kind, subject_id }: NamedSubject): Promise<string> {
  const id = subject_id ?? (subject_kind === 'org' ? ctx.caller.orgId : undefined)
  const fault = id === undefined ? 'is missing' : await faultOf(ctx, { subject_kind, subject_id: id })
  if (id !== undefined && fault === undefined) return id
  throw new AppError('invalid_request', `subject_id: ${fault}`, {
    status: 422,
    param: 'subject_id',
    fields: [{ pointer: '/subject_id', detail: fault ?? 'is missing' }],
  })
}

async function faultOf(ctx: Ctx, { subject_kind, subject_id }: Subject): Promise<string | undefined> {
  const { orgId } = ctx.caller
  switch (subject_kind) {
    case 'org':
      return subject_id === orgId ? undefined : 'is not the id of your organisation'
    case 'user':
      return (await isMember(ctx, subject_id)) ? undefined : 'is not the id of a member'
    case 'key':
      return (await hashOf(ctx, subject_id)) === undefined ? 'is not the id of a key that works' : undefined
    case 'model':
      return resolveModel(subject_id).some(({ price }) => price) ? undefined : 'is not a model whose price is known'
    default:
      return 'is of a kind that nothing is counted for'
  }
}

async function isMember({ db, caller: { orgId } }: Ctx, userId: string): Promise<boolean> {
  const [rows] = await db.atomically(orgId, (query) => [
    query
      .select({ id: memberships.user_id })
      .from(memberships)
      .where(and(eq(memberships.org_id, orgId), eq(memberships.user_id, userId))),
  ])
  return rows.length > 0
}

async function hashOf({ db, caller: { orgId } }: Ctx, keyId: string): Promise<string | undefined> {
  const [[row]] = await db.atomically(orgId, (query) => [
    query
      .select({ hash: apiKeys.secret_hash })
      .from(apiKeys)
      .where(and(eq(apiKeys.org_id, orgId), eq(apiKeys.id, keyId), isNull(apiKeys.revoked_at))),
  ])
  return row?.hash
}

/** Has the next call of everybody who is governed by a budget of this subject know of its change. */
export async function markSubject(ctx: Ctx, subject: Subject): Promise<void> {
  const records = await recordsOf(ctx, subject)
  for (let at = 0; at < records.length; at += MARKS_AT_ONCE) {
    await markChanged(ctx, records.slice(at, at + MARKS_AT_ONCE))
  }
}

async function recordsOf(ctx: Ctx, { subject_kind, subject_id }: Subject): Promise<string[]> {
  const { orgId } = ctx.caller
  if (subject_kind === 'key') {
    const hash = await hashOf(ctx, subject_id)
    return hash === undefined ? [] : [recordKeys.key(hash)]
  }
  const userId = subject_kind === 'user' ? subject_id : undefined
  return (await Promise.all([recordsOfKeys(ctx, orgId, userId), sessionRecordsOf(ctx, orgId, userId)])).flat()
}

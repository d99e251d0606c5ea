import type { Ctx } from '../../core/context.ts'
import { requireSubject } from '../subjects/service.ts'
import type { LimitRow } from './compile.ts'
import { requireTarget } from './targets.ts'

/** Whom a limit binds. */
export type LimitSubject = Pick<LimitRow, 'subject_kind' | 'subject_id'>
type Named = { subject_kind: LimitRow['subject_kind']; subject_id?: string | undefined }

/** A subject that limits may have, with the person whom a key belongs to. Throws 422 for every other one. */
export async function requireLimited(
  ctx: Ctx,
  { subject_kind, subject_id }: Named,
): Promise<LimitSubject & { userId: string | undefined }> {
  if (subject_kind !== 'provider') return requireSubject(ctx, { subject_kind, subject_id })
  return { subject_kind, subject_id: requireTarget(ctx, subject_id), userId: undefined }
}

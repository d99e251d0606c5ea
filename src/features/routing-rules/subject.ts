import { and, eq, ne, type SQL } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import { unfit } from '../../core/errors.ts'
import { LABEL } from '../../core/ids.ts'
import { markSubject, namesSubject, requireSubject } from '../subjects/service.ts'
import { isLive, type PolicyRow } from './rows.ts'
import type { Attach } from './schema.ts'
import { routingPolicies } from './table.ts'

type Attached = Pick<PolicyRow, 'attach_kind' | 'attach_id'>

/** Whose calls a policy governs, as its row names them. Throws 422 for what the organisation does not have. */
export async function attachedTo(ctx: Ctx, attach: Attach | null): Promise<Attached> {
  if (attach === null) return { attach_kind: null, attach_id: null }
  const { kind, id } = attach
  if (kind !== 'agent') {
    const known = await requireSubject(ctx, { subject_kind: kind, subject_id: id }, 'attach.id')
    return { attach_kind: kind, attach_id: known.subject_id }
  }
  if (id === undefined) throw unfit('attach.id', 'is missing')
  if (!LABEL.test(id)) throw unfit('attach.id', 'is not a name of 1 to 64 letters, digits, and _ . : -')
  return { attach_kind: kind, attach_id: id }
}

/** Of the organisation's other policies the one that governs the same calls, in terms of its rows; a key is its line. */
export function isRivalOf({ id, org_id, attach_kind, attach_id }: PolicyRow): SQL | undefined {
  if (attach_kind === null || attach_id === null) return undefined
  const isSame =
    attach_kind === 'key'
      ? namesSubject(routingPolicies.attach_id, org_id, attach_id)
      : eq(routingPolicies.attach_id, attach_id)
  return and(isLive(org_id), ne(routingPolicies.id, id), eq(routingPolicies.attach_kind, attach_kind), isSame)
}

/** Has the next call of those know of a change whom one of these policies governs. */
export async function tellOf(ctx: Ctx, rows: readonly Attached[]): Promise<void> {
  const subjects = rows.flatMap(({ attach_kind, attach_id }) =>
    attach_kind === null || attach_id === null ? [] : [{ subject_kind: attach_kind, subject_id: attach_id }],
  )
  // Of anything but a key everybody is told, which says all there is to say.
  const all = subjects.find(({ subject_kind }) => subject_kind !== 'key')
  if (all) return markSubject(ctx, all)
  const keys = new Map(subjects.map((subject) => [subject.subject_id, subject]))
  for (const subject of keys.values()) await markSubject(ctx, subject)
}

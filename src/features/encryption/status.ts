import { desc, eq } from 'drizzle-orm/sql'
import { secondsOf } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { type DataKeyRow, MAX_AGE_SECONDS } from './data-keys.ts'
import { kekIdOf } from './keys.ts'
import { countVersions } from './rows.ts'
import type { EncryptionStatus, Job } from './schema.ts'
import { dataKeys } from './table.ts'

/** By when what older keys have sealed is to be sealed again. */
export const RESEALED_WITHIN_SECONDS = 7 * 24 * 3600

type Counts = Awaited<ReturnType<typeof countVersions>>

/** How far the rows of an organisation have come towards its newest data key. */
export function jobOf({ version, created_at }: DataKeyRow, counts: Counts): Job {
  const sealed = counts.flatMap(({ versions }) => versions).filter((one) => one.version !== null)
  const sum = (rows: typeof sealed) => rows.reduce((total, one) => total + one.rows, 0)
  const total = sum(sealed)
  const done = sum(sealed.filter((one) => one.version !== null && one.version >= version))
  return {
    id: `rot_${version}`,
    object: 'job',
    kind: 'encryption.rotate',
    status: done === total ? 'completed' : 'running',
    version,
    progress: { done, total },
    created_at,
    due_at: created_at + RESEALED_WITHIN_SECONDS,
  }
}

/** Which keys the caller's organisation has and what is sealed under them. Throws `DependencyError('postgres')`. */
export async function encryptionStatus(ctx: Ctx): Promise<EncryptionStatus> {
  const { orgId } = ctx.caller
  const [current, [rows], counts] = await Promise.all([
    kekIdOf(ctx.settings.kekCurrent),
    ctx.db.atomically(orgId, (query) => [
      query.select().from(dataKeys).where(eq(dataKeys.org_id, orgId)).orderBy(desc(dataKeys.version)),
    ]),
    countVersions(ctx, orgId),
  ])
  const [newest] = rows
  return {
    object: 'encryption_status',
    active: newest && newest.state === 'active' ? activeOf(newest, ctx.now()) : null,
    keys: rows.map(({ version, state, created_at, kek_id }) => ({
      version,
      state,
      created_at,
      kek_id,
      is_current: kek_id === current,
    })),
    kek_ids: [...new Set(rows.map(({ kek_id }) => kek_id))],
    columns: counts.map(({ column: { table, column }, versions }) => ({ table, column, rows: versions })),
    rotation: newest ? jobOf(newest, counts) : null,
  }
}

const activeOf = ({ version, created_at }: DataKeyRow, nowMs: number) => ({
  version,
  created_at,
  age_seconds: Math.max(0, secondsOf(nowMs) - created_at),
  replaced_at: created_at + MAX_AGE_SECONDS,
})

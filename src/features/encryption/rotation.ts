import type { Ctx } from '../../core/context.ts'
import type { DataKey } from '../../core/memory.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { type DataKeyRow, keyForOpening, makeKey, readNewest, rewrapAll } from './data-keys.ts'
import { type Resealed, sealAgain } from './reseal.ts'
import { countVersions } from './rows.ts'
import type { RotationJob } from './schema.ts'
import { SealError } from './seal.ts'
import { jobOf } from './status.ts'

/** One call seals no more rows again than this, and begins no batch after this time: it is one request. */
const MAX_ROWS = 500
const MAX_MS = 15_000
/** A key that is younger belongs to a rotation that goes on while rows are left under older keys. */
const CONTINUED_SECONDS = 24 * 3600

/**
 * Gives the caller's organisation a new data key and seals under it what older keys have sealed, as far as one request
 * goes. While rows of the last day's rotation are left, a call goes on with those instead, so that calling again until
 * it is completed makes one key; every row is either as it was or sealed again, wherever a call ends. Data keys that
 * another key-encryption key wraps are wrapped anew. Throws `DependencyError('postgres')`.
 */
export async function rotate(ctx: Ctx): Promise<RotationJob> {
  const { orgId } = ctx.caller
  const { rewrapped, unreadable } = await rewrapAll(ctx, orgId)
  const newest = await readNewest(ctx, orgId)
  const run = (await goOn(ctx, newest)) ?? (await begin(ctx, newest))
  const [now, counts] = await Promise.all([readNewest(ctx, orgId), countVersions(ctx, orgId)])
  if (!now) throw new Error('A data key was made and is not there.')
  const job = jobOf(now, counts)
  const isStuck = run.isEnd && run.unreadable > 0 && job.status === 'running'
  return {
    ...job,
    status: isStuck ? 'failed' : job.status,
    run: { rows: run.rows, unreadable_rows: run.unreadable, keys: rewrapped, unreadable_keys: unreadable },
  }
}

/** Nothing when there is nothing to go on with. */
async function goOn(ctx: Ctx, newest: DataKeyRow | undefined): Promise<Resealed | undefined> {
  const { orgId } = ctx.caller
  const isRecent = newest?.state === 'active' && ctx.now() / 1000 - newest.created_at < CONTINUED_SECONDS
  if (!isRecent || jobOf(newest, await countVersions(ctx, orgId)).status === 'completed') return undefined
  const key = await keyOf(ctx, newest)
  if (!key) return undefined
  const note = await noteOf(ctx, { version: newest.version, continues: true })
  await ctx.db.atomically(orgId, (query) => [query.insert(auditLog).values(note)])
  const run = await sealAgain(ctx, orgId, limitsOf(ctx, key))
  // Rows that no call can open must not stand in the way of a new key.
  return run.rows > 0 || !run.isEnd ? run : undefined
}

/** The key of a row; nothing when it does not open, so that a new one is made. */
async function keyOf(ctx: Ctx, { org_id: orgId, version }: DataKeyRow): Promise<DataKey | undefined> {
  try {
    return await keyForOpening(ctx, orgId, version)
  } catch (error) {
    if (error instanceof SealError) return undefined
    throw error
  }
}

async function begin(ctx: Ctx, newest: DataKeyRow | undefined): Promise<Resealed> {
  const version = (newest?.version ?? 0) + 1
  const note = await noteOf(ctx, { version, continues: false })
  const key = await makeKey(ctx, ctx.caller.orgId, { version, also: (query) => query.insert(auditLog).values(note) })
  return sealAgain(ctx, ctx.caller.orgId, limitsOf(ctx, key))
}

const noteOf = (ctx: Ctx, details: { version: number; continues: boolean }) =>
  auditRow(ctx, {
    orgId: ctx.caller.orgId,
    actor: actorOf(ctx.caller),
    action: 'encryption.rotate',
    target: { kind: 'data_key', id: String(details.version) },
    details,
  })

const limitsOf = (ctx: Ctx, key: DataKey) => ({ key, maxRows: MAX_ROWS, endMs: ctx.now() + MAX_MS })

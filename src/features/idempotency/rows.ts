import { and, eq, inArray, lte } from 'drizzle-orm'
import { secondsOf } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { idempotencyKeys } from './table.ts'

/** Longer than a call can take; after it the isolate that ran the call must have died. */
const RUNNING_SECONDS = 15 * 60
const KEPT_SECONDS = 24 * 3600
const SWEPT_AT_ONCE = 200

type Row = typeof idempotencyKeys.$inferSelect

/** A call that is ours to run. The time tells our row from one of a later owner. */
export type Claim = { id: string; createdAt: number }
export type Answer = Pick<Row, 'status' | 'headers' | 'body'>

type World = Pick<Ctx, 'db' | 'now' | 'caller'>

/** The row of a new call, or the one that another call with the same key has left. */
export async function claim(
  { db, now, caller: { orgId } }: World,
  { id, bodyHash }: { id: string; bodyHash: string },
): Promise<{ claimed: Claim } | { found: Row | undefined }> {
  const createdAt = secondsOf(now())
  const isThis = and(eq(idempotencyKeys.org_id, orgId), eq(idempotencyKeys.id, id))
  const [, inserted, [found]] = await db.atomically(orgId, (query) => [
    query.delete(idempotencyKeys).where(and(isThis, lte(idempotencyKeys.expires_at, createdAt))),
    query
      .insert(idempotencyKeys)
      .values({
        org_id: orgId,
        id,
        body_hash: bodyHash,
        state: 'running',
        created_at: createdAt,
        expires_at: createdAt + RUNNING_SECONDS,
      })
      .onConflictDoNothing()
      .returning({ id: idempotencyKeys.id }),
    query.select().from(idempotencyKeys).where(isThis),
  ])
  return inserted.length > 0 ? { claimed: { id, createdAt } } : { found }
}

/** The claim's row, unless it ran out and is somebody else's now. */
const isOwn = (orgId: string, { id, createdAt }: Claim) =>
  and(
    eq(idempotencyKeys.org_id, orgId),
    eq(idempotencyKeys.id, id),
    eq(idempotencyKeys.state, 'running'),
    eq(idempotencyKeys.created_at, createdAt),
  )

export async function finish({ db, caller: { orgId } }: World, own: Claim, answer: Answer): Promise<void> {
  await db.atomically(orgId, (query) => [
    query
      .update(idempotencyKeys)
      .set({ ...answer, state: 'done', expires_at: own.createdAt + KEPT_SECONDS })
      .where(isOwn(orgId, own)),
  ])
}

/** As if the call had never come. */
export async function release({ db, caller: { orgId } }: World, own: Claim): Promise<void> {
  await db.atomically(orgId, (query) => [query.delete(idempotencyKeys).where(isOwn(orgId, own))])
}

/** Removes answers of the organisation that nobody gets any more. */
export async function sweep({ db, now, caller: { orgId } }: World): Promise<void> {
  const nowSeconds = secondsOf(now())
  await db.atomically(orgId, (query) => [
    query.delete(idempotencyKeys).where(
      and(
        eq(idempotencyKeys.org_id, orgId),
        inArray(
          idempotencyKeys.id,
          query
            .select({ id: idempotencyKeys.id })
            .from(idempotencyKeys)
            .where(and(eq(idempotencyKeys.org_id, orgId), lte(idempotencyKeys.expires_at, nowSeconds)))
            .limit(SWEPT_AT_ONCE),
        ),
        lte(idempotencyKeys.expires_at, nowSeconds),
      ),
    ),
  ])
}

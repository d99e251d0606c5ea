import { secondsOf } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { remember } from './ring.ts'
import { LIFETIME_SECONDS, SKEW_SECONDS } from './shape.ts'
import { addKey, createRow, load, NO_ORG, readPublished, type SigningRow, type StoreDeps, statements } from './store.ts'

const DAY_SECONDS = 24 * 3600
/** A key signs for thirty days: on the last of them the next one is published already. */
const PUBLISH_NEXT_AFTER_SECONDS = 29 * DAY_SECONDS
/** Whoever caches our keys has read the next one before it signs. */
const OVERLAP_SECONDS = DAY_SECONDS
/** A retired key counts until its last token has ended on the slowest clock, and a minute more. */
const RETIRED_SECONDS = LIFETIME_SECONDS + 2 * SKEW_SECONDS

/** What is published, and the one key that signs. */
export type KeySet = { rows: readonly SigningRow[]; active: SigningRow }

const inState = (rows: readonly SigningRow[], state: SigningRow['state']) => rows.find((row) => row.state === state)

function setOf(rows: readonly SigningRow[]): KeySet {
  const active = inState(rows, 'active')
  if (!active) throw new Error('A signing key was written and is not there.')
  return { rows, active }
}

const promotesAt = ({ created_at: publishedAt }: SigningRow): number => publishedAt + OVERLAP_SECONDS

/**
 * The keys as they should be now; whoever mints a token sees to it, so that no job has to: the first is made, the next
 * is published, and takes over a day later. Throws `DependencyError('postgres')`.
 */
export async function keepKeys(deps: StoreDeps): Promise<KeySet> {
  const stored = await readPublished(deps)
  const { rows, active } = setOf(inState(stored, 'active') ? stored : await addKey(deps, 'active'))
  const now = secondsOf(deps.now())
  const next = inState(rows, 'next')
  if (next && promotesAt(next) <= now) return setOf(await promote(deps, active, next))
  const isOld = now - (active.activated_at ?? active.created_at) >= PUBLISH_NEXT_AFTER_SECONDS
  if (!next && isOld) return setOf(await addKey(deps, 'next'))
  return { rows, active }
}

/** Whoever comes second, or after a revocation, finds neither key in its state and changes nothing. */
async function promote({ db, now }: StoreDeps, active: SigningRow, next: SigningRow): Promise<SigningRow[]> {
  const nowSeconds = secondsOf(now())
  const [[{ and, eq, notExists }, { signingKeys }], { lock, published }] = await Promise.all([
    load(),
    statements(nowSeconds),
  ])
  const [, , , rows] = await db.atomically(NO_ORG, (query) => [
    lock(query),
    query
      .update(signingKeys)
      .set({ state: 'retired', not_after: nowSeconds + RETIRED_SECONDS })
      .where(and(eq(signingKeys.kid, active.kid), eq(signingKeys.state, 'active'))),
    query
      .update(signingKeys)
      .set({ state: 'active', activated_at: nowSeconds })
      .where(
        and(
          eq(signingKeys.kid, next.kid),
          eq(signingKeys.state, 'next'),
          notExists(query.select().from(signingKeys).where(eq(signingKeys.state, 'active'))),
        ),
      ),
    published(query),
  ])
  return rows
}

/** Unix seconds; `next` is null when no key waits to take over. */
export type RotationState = { active: string; next: string | null; next_signs_at: number | null }

async function noted(ctx: Ctx, rows: readonly SigningRow[]): Promise<RotationState> {
  await remember(ctx, rows, ctx.now())
  const { active } = setOf(rows)
  const next = inState(rows, 'next')
  return { active: active.kid, next: next?.kid ?? null, next_signs_at: next ? promotesAt(next) : null }
}

const auditOf = (ctx: Ctx, action: string, kid: string) =>
  auditRow(ctx, {
    orgId: ctx.caller.orgId,
    actor: actorOf(ctx.caller),
    action,
    target: { kind: 'signing_key', id: kid },
  })

/** Publishes the next key, unless one is published already. */
export async function publishNext(ctx: Ctx): Promise<RotationState> {
  const { rows } = await keepKeys(ctx)
  const waiting = inState(rows, 'next')
  const row = waiting ?? (await createRow(ctx, 'next'))
  const [[, { signingKeys }], { lock, published }, audit] = await Promise.all([
    load(),
    statements(secondsOf(ctx.now())),
    auditOf(ctx, 'signing_key.rotate', row.kid),
  ])
  const [, , , after] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    lock(query),
    query.insert(signingKeys).values(row).onConflictDoNothing(),
    query.insert(auditLog).values(audit),
    published(query),
  ])
  return noted(ctx, after)
}

/** Ends every key, what they signed included, and has a new one sign. */
export async function revokeAll(ctx: Ctx): Promise<RotationState> {
  const row = await createRow(ctx, 'active')
  const now = row.created_at
  const [[{ gt, ne, or }, { signingKeys }], { lock, published }, audit] = await Promise.all([
    load(),
    statements(now),
    auditOf(ctx, 'signing_key.revoke', row.kid),
  ])
  const [, , , , after] = await ctx.db.atomically(ctx.caller.orgId, (query) => [
    lock(query),
    query
      .update(signingKeys)
      .set({ state: 'retired', not_after: now })
      .where(or(ne(signingKeys.state, 'retired'), gt(signingKeys.not_after, now))),
    query.insert(signingKeys).values(row),
    query.insert(auditLog).values(audit),
    published(query),
  ])
  return noted(ctx, after)
}

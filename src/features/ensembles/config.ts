import { eq } from 'drizzle-orm'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { markSubject } from '../subjects/service.ts'
import { requireKnown } from './known.ts'
import type { EnsembleConfigView, EnsembleOptions } from './schema.ts'
import { ensembleConfigs } from './table.ts'

type Row = typeof ensembleConfigs.$inferSelect

const viewOf = (row: Row | undefined): EnsembleConfigView => ({
  object: 'ensemble_config',
  config: row?.config ?? {},
  updated_by: row?.updated_by ?? null,
  updated_at: row?.updated_at ?? null,
})

/** How the caller's organisation wants several models to answer; nothing where it has not said. */
export async function readConfig(ctx: Ctx): Promise<EnsembleConfigView> {
  return viewOf(await rowOf(ctx))
}

async function rowOf({ db, caller: { orgId } }: Ctx): Promise<Row | undefined> {
  const [[row]] = await db.atomically(orgId, (query) => [
    query.select().from(ensembleConfigs).where(eq(ensembleConfigs.org_id, orgId)),
  ])
  return row
}

/** In place of what there was: what is left out has its default again. It holds from the next call on. Throws 422. */
export async function saveConfig(ctx: Ctx, config: EnsembleOptions): Promise<EnsembleConfigView> {
  await requireKnown(ctx, config)
  const { orgId, userId } = ctx.caller
  const now = nowSeconds(ctx)
  const before = await rowOf(ctx)
  const row: Row = {
    org_id: orgId,
    config,
    updated_by: userId ?? null,
    created_at: before?.created_at ?? now,
    updated_at: now,
  }
  const note = await auditRow(ctx, {
    orgId,
    actor: actorOf(ctx.caller),
    action: 'ensemble_config.update',
    target: { kind: 'org', id: orgId },
    before: before?.config,
    after: config,
    details: { config },
  })
  const { org_id: target, config: set, updated_by, updated_at } = row
  await ctx.db.atomically(orgId, (query) => [
    query
      .insert(ensembleConfigs)
      .values(row)
      .onConflictDoUpdate({ target: ensembleConfigs.org_id, set: { config: set, updated_by, updated_at } }),
    query.insert(auditLog).values(note),
  ])
  await markSubject(ctx, { subject_kind: 'org', subject_id: target })
  return viewOf(row)
}

import { sql } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { figuresIdOf } from '../../core/figures.ts'
import { forgetTarget } from '../admission/service.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { type Live, readLive } from './live.ts'
import type { BreakerView } from './schema.ts'

/** What an organisation has called lately is what its breakers are looked up for: so many decisions back. */
const LATEST_DECISIONS = 2000
const MOST_TARGETS = 500

/** The breakers of what the organisation has called lately; the closed ones only where all are wanted. */
export async function listBreakers(ctx: Ctx, wantsAll: boolean): Promise<BreakerView[]> {
  const known = (await calledLately(ctx)).flatMap((target) => {
    const id = idOf(ctx, target)
    return id === undefined ? [] : [{ target, id }]
  })
  const states = await readLive(
    ctx,
    known.map(({ id }) => id),
  )
  const views = states.map((live, at) => toView(known[at]?.target ?? '', live))
  return wantsAll ? views : views.filter(({ state }) => state !== 'closed')
}

async function calledLately({ db, caller: { orgId } }: Ctx): Promise<string[]> {
  const [{ rows }] = await db.atomically(orgId, (query) => [
    query.execute(sql`
      with latest as (
        select candidates, excluded from decisions where org_id = ${orgId}
        order by created_at desc, id desc limit ${LATEST_DECISIONS})
      select distinct told ->> 'target' as target
      from latest, jsonb_array_elements(candidates || excluded) as told order by 1 limit ${MOST_TARGETS}`),
  ])
  return rows.map(({ target }) => String(target))
}

/** What the breaker of `provider/model` goes by; undefined where no such provider is in reach. */
function idOf({ providers }: Pick<Ctx, 'providers'>, target: string): string | undefined {
  const slash = target.indexOf('/')
  const provider = slash > 0 ? providers.get(target.slice(0, slash)) : undefined
  return provider && slash < target.length - 1 ? figuresIdOf(provider, target.slice(slash + 1)) : undefined
}

const toView = (target: string, { state, untilMs, failures, openings }: Live): BreakerView => ({
  object: 'breaker',
  target,
  state,
  until: untilMs === undefined ? null : Math.ceil(untilMs / 1000),
  failures,
  openings,
})

/**
 * From now on the target is tried again, by everybody where the provider is the installation's. Throws 404 for a
 * provider out of reach.
 */
export async function resetBreaker(ctx: Ctx, target: string): Promise<BreakerView> {
  const { orgId } = ctx.caller
  const id = idOf(ctx, target)
  if (id === undefined) throw notFound('target')
  const [before] = await readLive(ctx, [id])
  const note = await auditRow(ctx, {
    orgId,
    actor: actorOf(ctx.caller),
    action: 'routing.breaker_reset',
    target: { kind: 'target', id: target },
    details: { state: before?.state ?? 'closed' },
  })
  await ctx.db.atomically(orgId, (query) => [query.insert(auditLog).values(note)])
  await forgetTarget(ctx.redis, id)
  ctx.memory.targets.delete(id)
  return toView(target, { state: 'closed', untilMs: undefined, failures: 0, openings: 0, figures: undefined })
}

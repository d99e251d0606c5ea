import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { redisKeys } from '../admission/service.ts'
import { candidatesOf, learnNodes, plan, type Target, targetsFor, type Wanted } from '../routing/service.ts'

export type Capability = 'completion' | 'embedding' | 'vision' | 'tools'

/** Where a call would go that leaves the choice to us and needs this. Throws 503 when there is nothing for it. */
export async function bestFor(ctx: Ctx, capability: Capability): Promise<{ target: Target; reason: string }> {
  await learnNodes(ctx)
  const wanted: Wanted = {
    model: 'auto',
    kind: capability === 'embedding' ? 'embedding' : 'chat',
    needs: capability === 'vision' || capability === 'tools' ? [capability] : [],
  }
  const { targets } = targetsFor(ctx, ctx.admission.policy, wanted)
  const openBreakers = await openAmong(ctx, targets)
  const best = targets.length > 0 && plan({ targets, openBreakers, model: wanted.model, nowMs: ctx.now() }).targets[0]
  if (best) return best
  throw new AppError('no_capable_model', 'No configured model can do this.', { details: { capability } })
}

async function openAmong(ctx: Ctx, targets: readonly Target[]): Promise<ReadonlyMap<string, number>> {
  if (targets.length === 0) return new Map()
  const { candidates, breakers = candidates } = candidatesOf(targets)
  const states = await ctx.redis.pipeline(breakers.map((breaker) => ['HGETALL', redisKeys.target(breaker)] as const))
  return new Map(
    candidates.flatMap((id, at) => {
      const { u = 0, c = 0 } = Object(states[at])
      const untilMs = Math.max(Number(u), Number(c))
      return untilMs > ctx.now() ? [[id, untilMs] as const] : []
    }),
  )
}

import type { Ctx } from '../../core/context.ts'
import { pricesHash } from '../catalog/service.ts'
import { arrange, nowhere, type Plan } from './plan.ts'
import type { Target } from './target.ts'

/**
 * Begins the note of why a call goes where it goes: before anything can refuse it, so that every answer of a model
 * names its decision.
 */
export function openDecision(
  { arrival, newId }: Pick<Ctx, 'arrival' | 'newId'>,
  { model, isStream }: { model: string; isStream: boolean },
): void {
  if (!arrival) return
  arrival.decision = { id: newId('dec'), askedModel: model, isStream, pricesVersion: pricesHash, attempts: [], failed: [] }
}

/** The plan of an admitted call, noted before it can turn out that it leads nowhere. Throws as `plan` does. */
export function decide(
  { admission, arrival, now }: Pick<Ctx, 'admission' | 'arrival' | 'now'>,
  { targets, model }: { targets: readonly Target[]; model: string },
): Plan {
  const { openBreakers, usedUp } = admission
  const input = { targets, openBreakers, usedUp, model, nowMs: now() }
  const plan = arrange(input)
  if (arrival?.decision) arrival.decision.plan = plan
  if (plan.targets.length === 0) throw nowhere(input, plan)
  return plan
}

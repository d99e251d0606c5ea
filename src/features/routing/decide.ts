import type { Ctx } from '../../core/context.ts'
import { pricesHash } from '../catalog/service.ts'
import { plan } from './named.ts'
import type { Plan } from './plan.ts'
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
  arrival.decision = {
    id: newId('dec'),
    askedModel: model,
    isStream,
    pricesVersion: pricesHash,
    attempts: [],
    failed: [],
  }
}

/** The plan of an admitted call, noted before it can turn out that it leads nowhere. Throws as `plan` does. */
export function decide(
  { admission, arrival, now }: Pick<Ctx, 'admission' | 'arrival' | 'now'>,
  { targets, model }: { targets: readonly Target[]; model: string },
): Plan {
  const { openBreakers, usedUp, states, policy } = admission
  const standing = { openBreakers, usedUp, states, marks: policy.marks, nowMs: now() }
  return plan({ ...standing, targets, model }, (made) => {
    if (arrival?.decision) arrival.decision.plan = made
  })
}

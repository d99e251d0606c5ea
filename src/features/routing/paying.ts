import type { Admission, Ask, Policy } from '../../core/admission.ts'
import { AppError } from '../../core/errors.ts'
import { budgetsOn } from './answer.ts'
import { breakerOf, type Target } from './target.ts'

/** Under a hard budget, and within a run, nothing runs whose worst case could not be held. */
export function refuseUnheld(
  { policy, held }: Admission,
  { targets, runId }: { targets: readonly Target[]; runId: string | undefined },
): void {
  const unpriced = targets.find(({ price }) => !price)
  if (held || !unpriced || !isPaid(policy, { targets, runId })) return
  const message = `No price is known for '${unpriced.id}', so its cost cannot be held against a hard budget.`
  throw new AppError('invalid_request', message, { param: 'model' })
}

/** Whether a call which any of these targets may answer can be refused for want of money. */
export const isPaid = (
  { budgets }: Pick<Policy, 'budgets'>,
  { targets, runId }: { targets: readonly Target[]; runId: string | undefined },
): boolean => runId !== undefined || budgetsOn(budgets, targets).length > 0

/** Targets as admission wants to know them: by the names that limits give, and by what their breakers go by. */
export function candidatesOf(targets: readonly Target[]): Pick<Ask, 'candidates' | 'breakers'> {
  const candidates = targets.map(({ id }) => id)
  const isShared = targets.every(({ provider }) => !provider.account)
  return isShared ? { candidates } : { candidates, breakers: targets.map(breakerOf) }
}

type Payable = {
  runId: string | undefined
  /** Undefined where it is not known. */
  worstCaseNanoUsd: (target: Target) => number | undefined
}

/** What a call holds: nothing beyond it may be chosen. */
type HeldMoney = Pick<Admission, 'heldNanoUsd' | 'heldBudgets'>

/**
 * Why a target that is ours to choose cannot be paid for; undefined for one that can. Under a hard budget only what is
 * held may be chosen: the target's worst case, in every budget that it would count in. `held` is undefined while it is
 * not decided yet what to hold.
 */
export function createPurse(
  policy: Pick<Policy, 'budgets'>,
  { runId, worstCaseNanoUsd }: Payable,
  held?: HeldMoney,
): (target: Target) => 'cost_unknown' | 'hold_too_small' | undefined {
  if (runId === undefined && policy.budgets.length === 0) return () => undefined
  return (target) => {
    const budgets = budgetsOn(policy.budgets, [target])
    if (runId === undefined && budgets.length === 0) return undefined
    const worst = worstCaseNanoUsd(target)
    if (worst === undefined) return 'cost_unknown'
    if (!held) return undefined
    const { heldNanoUsd = 0, heldBudgets = [] } = held
    const isCovered = worst <= heldNanoUsd && budgets.every(({ id }) => heldBudgets.includes(id))
    return isCovered ? undefined : 'hold_too_small'
  }
}

import type { Ctx } from '../../core/context.ts'
import { AppError, DependencyError } from '../../core/errors.ts'
import type { BudgetRef, BudgetSpend } from '../../core/ledger.ts'
import { usdFromNano } from '../../core/money.ts'
import { boundsOf } from '../../core/windows.ts'
import type { SpendView } from './schema.ts'

/** What a budget has used by now, and where that leads. Throws 503 `budget_unavailable` when its ledger is away. */
export async function spendOf(ctx: Ctx, budget: BudgetRef): Promise<SpendView> {
  try {
    const [spend] = await ctx.ledgerOf(ctx.caller.orgId).spend([budget])
    if (!spend) throw new TypeError('the ledger told nothing of a budget')
    return spendView(budget, spend, ctx.now())
  } catch (cause) {
    if (!(cause instanceof DependencyError)) throw cause
    throw new AppError('budget_unavailable', 'The ledger of this organisation does not answer right now.', {
      retryAfterSeconds: 1,
      cause,
    })
  }
}

export function spendView({ id, window, limitNanoUsd }: BudgetRef, spend: BudgetSpend, nowMs: number): SpendView {
  const { settledNanoUsd, heldNanoUsd } = spend
  const used = settledNanoUsd + heldNanoUsd
  const bounds = boundsOf(window, nowMs)
  const resets = window === 'day' || window === 'month'
  return {
    id,
    object: 'budget_spend',
    settled_usd: usdFromNano(settledNanoUsd),
    held_usd: usdFromNano(heldNanoUsd),
    remaining_usd: usdFromNano(Math.max(0, limitNanoUsd - used)),
    limit_usd: usdFromNano(limitNanoUsd),
    percent: percentOf(used, limitNanoUsd),
    window_start: bounds ? bounds.startMs / 1000 : null,
    window_end: bounds ? bounds.endMs / 1000 : null,
    resets_at: bounds && resets ? bounds.endMs / 1000 : null,
    forecast_usd: bounds ? usdFromNano(forecast(settledNanoUsd, bounds, nowMs)) : null,
  }
}

/** With two decimals. A budget of nothing is used up. */
const percentOf = (used: number, limit: number): number =>
  limit === 0 ? 100 : Number(((used / limit) * 100).toFixed(2))

/** A straight line from the start of the window through now to its end. */
function forecast(settled: number, { startMs, endMs }: { startMs: number; endMs: number }, nowMs: number): number {
  const share = Math.max(1000, nowMs - startMs) / (endMs - startMs)
  return Math.min(Number.MAX_SAFE_INTEGER, Math.round(settled / share))
}

import type { Admission, Policy } from '../../core/admission.ts'
import type { BudgetRef } from '../../core/ledger.ts'
import type { budgets } from './table.ts'

type BudgetRow = typeof budgets.$inferSelect

/** A model that answered or may answer, as its ledger row names it. */
export type NamedModel = { provider: string; model: string; priceId: string }

/** A budget as the ledger counts it. */
export function refOf(row: BudgetRow): BudgetRef {
  return {
    id: row.id,
    window: row.window,
    limitNanoUsd: row.limit_nanos,
    ...(row.subject_kind === 'model' && { model: row.subject_id }),
    ...(row.hard ? {} : { soft: true as const }),
    softPercent: row.soft_percent,
  }
}

/** The rows that govern a caller, as their policy carries them: those that can refuse, and those that only tell. */
export function budgetsOf(rows: readonly BudgetRow[]): Required<Pick<Policy, 'budgets' | 'watched'>> {
  const refs = rows.map(refOf)
  return { budgets: refs.filter(({ soft }) => !soft), watched: refs.filter(({ soft }) => soft) }
}

/** The hard budgets of an admitted call: its caller's, and those of its run. */
export const budgetsOfCall = ({ policy, run }: Pick<Admission, 'policy' | 'run'>): readonly BudgetRef[] =>
  run ? [...policy.budgets, ...run.budgets] : policy.budgets

/** The budgets that a call counts in which one of these models answers: a budget of a model is not everybody's. */
export function budgetsFor(budgets: readonly BudgetRef[], models: readonly NamedModel[]): BudgetRef[] {
  let names: Set<string> | undefined
  return budgets.filter(({ model }) => {
    if (model === undefined) return true
    names ??= new Set(models.flatMap(namesOf))
    return names.has(model)
  })
}

/**
 * Every name by which a budget can mean a model: its own, with the provider before it, the family whose price it has,
 * and the last part of each, so that `gpt-4o` is the same model whoever serves it, and whatever the date behind it.
 */
export function namesOf({ provider, model, priceId }: NamedModel): string[] {
  const family = familyOf(priceId)
  const names = [model, `${provider}/${model}`, family, family.slice(family.indexOf('/') + 1)]
  return [...new Set([...names, lastPart(model), lastPart(family)])].filter((name) => name !== '')
}

/** The name of the models that have a price, as `vendor/model`. */
export const familyOf = (priceId: string): string => priceId.slice(0, Math.max(0, priceId.lastIndexOf('@')))

const lastPart = (name: string): string => name.slice(name.lastIndexOf('/') + 1)

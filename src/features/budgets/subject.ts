import { sql } from 'drizzle-orm'
import type { Ctx } from '../../core/context.ts'
import type { QueryBuilder } from '../../core/db.ts'
import { AppError, DependencyError, unfit } from '../../core/errors.ts'
import { LABEL } from '../../core/ids.ts'
import { resolveModel } from '../catalog/service.ts'
import { markSubject, requireSubject } from '../subjects/service.ts'
import type { BudgetRow } from './rows.ts'
import type { CreateBudget } from './schema.ts'
import { familyOf, namesOf } from './service.ts'
import { budgets } from './table.ts'

/** How many runs may stand above each other. */
const MAX_DEPTH = 8

/** States of `require`: what is wrong with a run. */
const NO_PARENT = 'HX410'
const TOO_DEEP = 'HX411'
const NAME_USED = 'HX412'
const HAS_CHILDREN = 'HX413'

/**
 * Whom or what a budget is for, as its row names it. Throws 422 for what the organisation does not have, and for a run
 * that is not what a run must be.
 */
export async function subjectOf(
  ctx: Ctx,
  { parent_run_id, ...wanted }: CreateBudget,
): Promise<Pick<BudgetRow, 'subject_id' | 'parent_id'>> {
  const { subject_kind, subject_id } = wanted
  if (subject_kind === 'run') checkRun(wanted)
  else if (parent_run_id !== undefined) throw unfit('parent_run_id', 'only a run has one')
  switch (subject_kind) {
    case 'run':
    case 'agent':
      return { subject_id: labelOf(subject_id), parent_id: parent_run_id ?? null }
    case 'model':
      return { subject_id: modelOf(ctx, subject_id), parent_id: null }
    default: {
      const known = await requireSubject(ctx, { subject_kind, subject_id })
      return { subject_id: known.subject_id, parent_id: null }
    }
  }
}

/** Throws 422: a run is paid from one amount, and nobody watches it to stop it in time. */
export function checkRun({ window, hard }: { window?: string; hard?: boolean | undefined }): void {
  if (window !== undefined && window !== 'total') throw unfit('window', 'of a run is total')
  if (hard === false) throw unfit('hard', 'a run has a hard budget')
}

function labelOf(subjectId: string | undefined): string {
  if (subjectId === undefined) throw unfit('subject_id', 'is missing')
  if (LABEL.test(subjectId)) return subjectId
  throw unfit('subject_id', 'is not a name of 1 to 64 letters, digits, and _ . : -')
}

/**
 * A budget for any name of a model is for the model: its row has the name of the family, by which every other name of it
 * counts, too. Where vendors call the family by different names, what was given stays.
 */
function modelOf(ctx: Ctx, given: string | undefined): string {
  if (given === undefined) throw unfit('subject_id', 'is missing')
  if (isOwnModel(ctx, given)) return given
  const priced = resolveModel(given).flatMap(({ vendor, name, price }) =>
    price ? [{ provider: vendor, model: name, priceId: price.id }] : [],
  )
  const [first] = priced
  if (!first) throw unfit('subject_id', 'is not a model whose price is known')
  const family = familyOf(first.priceId)
  const name = given.startsWith(`${first.provider}/`) ? family : family.slice(family.indexOf('/') + 1)
  return priced.every((model) => namesOf(model).includes(name)) ? name : given
}

/** A model of an account of the organisation itself, with a price: no family has it. */
const isOwnModel = ({ admission }: Ctx, given: string): boolean =>
  (admission.policy.accounts?.providers ?? []).some(({ name, models }) =>
    models.some((model) => model.price !== undefined && [model.name, `${name}/${model.name}`].includes(given)),
  )

/** Ends the transaction unless the run's name was never used and its parent, if it has one, stands and is not too deep. */
export function requireRunFits(query: QueryBuilder, { org_id, subject_id, parent_id }: BudgetRow) {
  const ofRun = sql`from ${budgets} where org_id = ${org_id} and subject_kind = 'run'`
  const isChild = parent_id !== null
  return query.execute(sql`select
    require(not exists(select ${ofRun} and subject_id = ${subject_id}), ${NAME_USED}),
    require(not ${isChild}::boolean or exists(select ${ofRun} and subject_id = ${parent_id} and deleted_at is null), ${NO_PARENT}),
    require((with recursive above as (
        select subject_id, parent_id ${ofRun} and subject_id = ${parent_id}
        union all
        select b.subject_id, b.parent_id from ${budgets} b join above a on b.org_id = ${org_id} and b.subject_kind = 'run' and b.subject_id = a.parent_id
      ) select count(*) from above) < ${MAX_DEPTH}, ${TOO_DEEP})`)
}

/** Ends the transaction while runs that this one started have budgets. */
export const requireNoChildren = (query: QueryBuilder, { org_id, subject_id }: BudgetRow) =>
  query.execute(sql`select require(not exists(select from ${budgets}
    where org_id = ${org_id} and subject_kind = 'run' and parent_id = ${subject_id} and deleted_at is null), ${HAS_CHILDREN})`)

/** What a transaction about a run was refused for; undefined for any other reason. */
export function runFault(state: string | undefined): AppError | undefined {
  switch (state) {
    case NO_PARENT:
      return unfit('parent_run_id', 'is not a run that has a budget')
    case TOO_DEEP:
      return unfit('parent_run_id', `at most ${MAX_DEPTH} runs stand above each other`)
    case NAME_USED:
      return new AppError('conflict', 'There is or was a run of this name: each run has a name of its own.')
    case HAS_CHILDREN:
      return new AppError('conflict', 'Runs that this one started still have budgets. Delete those first.')
    default:
      return undefined
  }
}

/**
 * Has the next call know of a change of a budget. A run's is known to nobody but the ledger; where that cannot be told
 * now, it looks for itself within two minutes.
 */
export async function tellOf(ctx: Ctx, row: BudgetRow): Promise<void> {
  if (row.subject_kind !== 'run') return markSubject(ctx, row)
  try {
    await ctx.ledgerOf(row.org_id).forgetRun(row.subject_id)
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    ctx.log.warn('run_not_told', { org_id: row.org_id, run_id: row.subject_id, cause: String(error.cause) })
  }
}

import * as z from 'zod'
import { LABEL } from '../../core/ids.ts'
import { isWholeNano } from '../../core/money.ts'
import { pageFields } from '../../http/page.ts'

/** Up to here a USD number stands for one whole number of nano-USD and the other way round. */
const MAX_LIMIT_USD = 8_000_000
const MAX_PERCENTS = 10

const SubjectKind = z
  .enum(['org', 'user', 'key', 'model', 'agent', 'run'])
  .describe(
    'Whose spending counts. A key: with all that it replaced or that replaced it. A model: what everybody of the ' +
      'organisation spends on it. An agent: all calls of its keys. A run: all calls that name it in `helix.run_id`.',
  )
const SubjectId = z
  .string()
  .min(1)
  .max(320)
  .describe(
    'The id of the organisation, person or key; for a model any name of it, with or without its provider; for an ' +
      'agent or a run your name for it.',
  )
const RunId = z
  .string()
  .regex(LABEL)
  .describe('Of a run: the run that started it, in whose budget it counts, too. That one must have a budget.')
const Window = z
  .enum(['total', 'day', 'month', 'rolling_30d'])
  .describe('Days and months are UTC; rolling_30d is today and the 29 days before.')

const Name = z.string().trim().min(1).max(255).nullable().describe('For people: what the budget is for.')
const LimitUsd = z
  .number()
  .min(0)
  .max(MAX_LIMIT_USD)
  .refine(isWholeNanos, { message: 'has more than nine decimals' })
  .describe('In USD, with at most nine decimals: it is kept to the nano-dollar.')
const Hard = z.boolean().describe('A hard budget refuses calls that it cannot pay; a soft one only tells.')
const SoftPercent = z
  .array(z.int().min(1).max(100))
  .max(MAX_PERCENTS)
  .overwrite((percents) => [...new Set(percents)].sort((left, right) => left - right))
  .describe('Shares of the limit at which the log and the audit log tell of it, once in a window.')

function isWholeNanos(usd: number): boolean {
  // Out of range is another fault, and told by itself.
  return usd < 0 || usd > MAX_LIMIT_USD || isWholeNano(usd)
}

const DEFAULT_PERCENT = [50, 80, 95]

export const BudgetParams = z.object({ id: z.string().regex(/^bud_[0-9a-z]{26}$/) })

export const BudgetsQuery = z.strictObject({
  ...pageFields,
  subject_kind: SubjectKind.optional(),
  subject_id: SubjectId.optional(),
})
export type BudgetsQuery = z.output<typeof BudgetsQuery>

export const CreateBudget = z.strictObject({
  name: Name.default(null),
  subject_kind: SubjectKind,
  subject_id: SubjectId.optional().describe('May be left out for the organisation of the caller.'),
  window: Window,
  limit_usd: LimitUsd,
  hard: Hard.default(true),
  soft_percent: SoftPercent.default(DEFAULT_PERCENT),
  parent_run_id: RunId.optional(),
})
export type CreateBudget = z.output<typeof CreateBudget>

/** What a budget counts never changes, or its past would no longer be its own. */
export const ReplaceBudget = CreateBudget.omit({
  subject_kind: true,
  subject_id: true,
  window: true,
  parent_run_id: true,
})
export type ReplaceBudget = z.output<typeof ReplaceBudget>

export const PatchBudget = z.strictObject({
  name: Name.optional(),
  limit_usd: LimitUsd.optional(),
  hard: Hard.optional(),
  soft_percent: SoftPercent.optional(),
})
export type PatchBudget = z.output<typeof PatchBudget>

export const BudgetView = z.object({
  id: z.string(),
  object: z.literal('budget'),
  name: z.string().nullable(),
  subject_kind: SubjectKind,
  subject_id: z.string(),
  parent_run_id: z.string().nullable(),
  window: Window,
  limit_usd: z.number(),
  hard: z.boolean(),
  soft_percent: z.array(z.int()),
  created_at: z.int(),
  updated_at: z.int(),
})
export type BudgetView = z.output<typeof BudgetView>

export const SpendView = z.object({
  id: z.string(),
  object: z.literal('budget_spend'),
  settled_usd: z.number().describe('What finished calls cost.'),
  held_usd: z.number().describe('What calls that run may still cost.'),
  remaining_usd: z.number(),
  limit_usd: z.number(),
  percent: z.number().describe('Settled and held, of the limit.'),
  window_start: z.int().nullable().describe('Unix seconds; null for a total.'),
  window_end: z.int().nullable(),
  resets_at: z.int().nullable().describe('When everything is free again; null where nothing is freed at once.'),
  forecast_usd: z.number().nullable().describe('Settled at the end of the window if it goes on as so far.'),
})
export type SpendView = z.output<typeof SpendView>

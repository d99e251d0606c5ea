import { resource } from '../../http/resource.ts'
import { get, type Route } from '../../http/route.ts'
import { changeBudget, createBudget, deleteBudget } from './changes.ts'
import { listBudgets, readBudget, viewOf } from './rows.ts'
import {
  BudgetParams,
  BudgetsQuery,
  BudgetView,
  CreateBudget,
  PatchBudget,
  ReplaceBudget,
  SpendView,
} from './schema.ts'
import { refOf } from './service.ts'
import { spendOf } from './spend.ts'

const budget = resource({ at: '/api/v1/budgets', area: 'budgets', params: BudgetParams, view: BudgetView, viewOf })

export const routes: readonly Route[] = [
  budget.list({ summary: 'List budgets', query: BudgetsQuery, run: listBudgets }),

  budget.create({
    summary: 'Create a budget',
    description:
      'It counts what its subject has spent in the window so far, and holds from the next call on. A call is held ' +
      'against every hard budget that applies to it at once. An organisation has at most 50 budgets, and 10,000 of runs.',
    body: CreateBudget,
    run: createBudget,
  }),

  budget.read({ summary: 'Get a budget', run: readBudget }),

  budget.replace({
    summary: 'Replace what a budget allows',
    description:
      'Fields that are left out get their defaults. Its subject and window stay: for others make another budget. ' +
      'A limit below what is spent refuses further calls; those that run finish.',
    body: ReplaceBudget,
    run: changeBudget,
  }),

  budget.change({
    summary: 'Change what a budget allows',
    description: 'What is absent stays as it is. It holds from the next call on.',
    body: PatchBudget,
    run: changeBudget,
  }),

  budget.remove({
    summary: 'Delete a budget',
    description:
      'It refuses nothing any more. Without its budget a run is over: a call that names it is refused (400). The ' +
      'budgets of runs that it started go first (409).',
    run: deleteBudget,
  }),

  get(
    '/api/v1/budgets/:id/spend',
    {
      summary: 'Show what a budget has used',
      description:
        'From the ledger itself: what finished calls cost and what running calls hold. 503 when it cannot be asked.',
      scope: 'budgets:read',
      params: BudgetParams,
      response: SpendView,
    },
    async (ctx, { params }) => spendOf(ctx, refOf(await readBudget(ctx, params.id))),
  ),
]

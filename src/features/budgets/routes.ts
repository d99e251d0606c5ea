import { toPage } from '../../http/page.ts'
import { del, get, patch, post, put, type Route } from '../../http/route.ts'
import { changeBudget, createBudget, deleteBudget } from './changes.ts'
import { listBudgets, readBudget, viewOf } from './rows.ts'
import {
  BudgetPage,
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

export const routes: readonly Route[] = [
  get(
    '/api/v1/budgets',
    { summary: 'List budgets', scope: 'budgets:read', query: BudgetsQuery, response: BudgetPage },
    async (ctx, { query }) => toPage((await listBudgets(ctx, query)).map(viewOf), query.limit),
  ),

  post(
    '/api/v1/budgets',
    {
      summary: 'Create a budget',
      description:
        'It counts what its subject has spent in the window so far, and holds from the next call on. A call is held ' +
        'against every hard budget that applies to it at once. An organisation has at most 50 budgets, and 10,000 of runs.',
      scope: 'budgets:write',
      body: CreateBudget,
      response: BudgetView,
      status: 201,
    },
    async (ctx, { body }) => viewOf(await createBudget(ctx, body)),
  ),

  get(
    '/api/v1/budgets/:id',
    { summary: 'Get a budget', scope: 'budgets:read', params: BudgetParams, response: BudgetView },
    async (ctx, { params }) => viewOf(await readBudget(ctx, params.id)),
  ),

  put(
    '/api/v1/budgets/:id',
    {
      summary: 'Replace what a budget allows',
      description:
        'Fields that are left out get their defaults. Its subject and window stay: for others make another budget. ' +
        'A limit below what is spent refuses further calls; those that run finish.',
      scope: 'budgets:write',
      params: BudgetParams,
      body: ReplaceBudget,
      response: BudgetView,
    },
    async (ctx, { params, body }) => viewOf(await changeBudget(ctx, params.id, body)),
  ),

  patch(
    '/api/v1/budgets/:id',
    {
      summary: 'Change what a budget allows',
      description: 'What is absent stays as it is. It holds from the next call on.',
      scope: 'budgets:write',
      params: BudgetParams,
      body: PatchBudget,
      response: BudgetView,
    },
    async (ctx, { params, body }) => viewOf(await changeBudget(ctx, params.id, body)),
  ),

  del(
    '/api/v1/budgets/:id',
    {
      summary: 'Delete a budget',
      description:
        'It refuses nothing any more. Without its budget a run is over: a call that names it is refused (400). The ' +
        'budgets of runs that it started go first (409).',
      scope: 'budgets:write',
      params: BudgetParams,
    },
    async (ctx, { params }) => {
      await deleteBudget(ctx, params.id)
      return undefined
    },
  ),

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

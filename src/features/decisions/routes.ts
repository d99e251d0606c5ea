import { toPage } from '../../http/page.ts'
import { get } from '../../http/route.ts'
import { listDecisions, readDecision, viewOf } from './rows.ts'
import { DecisionPage, DecisionParams, DecisionsQuery, WholeDecision } from './schema.ts'

export const routes = [
  get(
    '/v1/decisions/:id',
    {
      summary: 'Get a decision',
      description:
        'Why a call of a model went where it went, by the id in `x-helix-decision-id` of its answer: what could have ' +
        'served it and what was left out, each with the reason, and what became of every attempt. It is there a second ' +
        'or two after the answer has ended, for 30 days.',
      scope: 'routing:read',
      params: DecisionParams,
      response: WholeDecision,
    },
    (ctx, { params }) => readDecision(ctx, params.id),
  ),
]

/** Management of the same: another dialect, so another area. */
export const listRoutes = [
  get(
    '/api/v1/decisions',
    {
      summary: 'List decisions',
      description:
        'Of every call of a model that its limits and budgets let in, also of those that found no target; of many of ' +
        'these in the same second a part.',
      scope: 'routing:read',
      query: DecisionsQuery,
      response: DecisionPage,
    },
    async (ctx, { query }) => toPage((await listDecisions(ctx, query)).map(viewOf), query.limit),
  ),
]

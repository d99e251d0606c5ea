import { toPage } from '../../http/page.ts'
import { get } from '../../http/route.ts'
import { listRequests, readRequest, viewOf } from './rows.ts'
import { RequestPage, RequestParams, RequestsQuery, RequestView } from './schema.ts'

export const routes = [
  get(
    '/api/v1/requests',
    {
      summary: 'List requests',
      description:
        'Every request of a known caller, a second or two after it ended: what was asked for and how it ended, never ' +
        'what it said. Of many refused ones in the same second only a part is kept.',
      scope: 'logs:read',
      query: RequestsQuery,
      response: RequestPage,
    },
    async (ctx, { query }) => toPage((await listRequests(ctx, query)).map(viewOf), query.limit),
  ),

  get(
    '/api/v1/requests/:id',
    {
      summary: 'Get a request',
      description: 'With what it used and cost, where it called a model.',
      scope: 'logs:read',
      params: RequestParams,
      response: RequestView,
    },
    (ctx, { params }) => readRequest(ctx, params.id),
  ),
]

import { toPage } from '../../http/page.ts'
import { get, type Route } from '../../http/route.ts'
import { exportUsage } from './export.ts'
import { listUsage, viewOf } from './rows.ts'
import { ExportQuery, Summary, SummaryQuery, UsagePage, UsageQuery } from './schema.ts'
import { summarise } from './summary.ts'

export const routes: readonly Route[] = [
  get(
    '/api/v1/usage',
    {
      summary: 'List calls of models',
      description: 'Every call once, a second or two after it ended, with what it used and cost.',
      scope: 'analytics:read',
      query: UsageQuery,
      response: UsagePage,
    },
    async (ctx, { query }) => toPage((await listUsage(ctx, query)).map(viewOf), query.limit),
  ),

  get(
    '/api/v1/usage/summary',
    {
      summary: 'Sum up calls of models',
      description: 'Calls, tokens and cost by model, provider, key, person, agent, run, day or hour, and in all.',
      scope: 'analytics:read',
      query: SummaryQuery,
      response: Summary,
    },
    (ctx, { query }) => summarise(ctx, query),
  ),

  get(
    '/api/v1/usage/export',
    {
      summary: 'Export calls of models',
      description: 'As CSV or JSON, the oldest first. More than 10,000 rows are refused (422): narrow the range.',
      scope: 'analytics:read',
      query: ExportQuery,
      raw: ['text/csv', 'application/json'],
    },
    (ctx, { query }) => exportUsage(ctx, query),
  ),
]

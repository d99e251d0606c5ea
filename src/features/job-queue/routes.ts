import { toPage } from '../../http/page.ts'
import { del, get, type Route } from '../../http/route.ts'
import { cancelJob, listJobs, readJob, viewOf } from './rows.ts'
import { JobPage, JobParams, JobsQuery, JobView } from './schema.ts'

export const routes: readonly Route[] = [
  get(
    '/api/v1/jobs',
    {
      summary: 'List jobs',
      description:
        'Work that goes on after its call was answered: your own, and with everything in your reach those of all. ' +
        'Without their results.',
      scope: 'credential',
      query: JobsQuery,
      response: JobPage,
    },
    async (ctx, { query }) => toPage((await listJobs(ctx, query)).map(viewOf), query.limit),
  ),

  get(
    '/api/v1/jobs/:id',
    {
      summary: 'Get a job',
      description: 'How far it is, and what came of it: for seven days after it ended.',
      scope: 'credential',
      params: JobParams,
      response: JobView,
    },
    (ctx, { params }) => readJob(ctx, params.id),
  ),

  del(
    '/api/v1/jobs/:id',
    {
      summary: 'Cancel a job',
      description:
        'What waits is never begun. What is being done ends within half a minute; what it has done already stays. 409 ' +
        '`already_finished` for one that has ended.',
      scope: 'credential',
      params: JobParams,
    },
    async (ctx, { params }) => {
      await cancelJob(ctx, params.id)
      return undefined
    },
  ),
]

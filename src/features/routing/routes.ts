import { get, post, type Route } from '../../http/route.ts'
import { answerLater, startJob, wantsLater } from '../job-queue/service.ts'
import { listBreakers, resetBreaker } from './breakers.ts'
import { replay } from './replay.ts'
import { Replayed, ReplayRequest } from './replay-schema.ts'
import { Breakers, BreakersQuery, BreakerView, Stats, StatsQuery, TargetParams } from './schema.ts'
import { readStats } from './stats.ts'

export const routes: readonly Route[] = [
  get(
    '/api/v1/routing/stats',
    {
      summary: 'Read how models did',
      description:
        'Calls, errors, times, tokens and cost by provider, model and kind of task. Every hour that is over is there half ' +
        'an hour later, for 90 days; `live` is what routing goes by now.',
      scope: 'routing:read',
      query: StatsQuery,
      response: Stats,
    },
    async (ctx, { query }) => ({ object: 'list' as const, data: await readStats(ctx, query) }),
  ),

  get(
    '/api/v1/routing/breakers',
    {
      summary: 'List breakers',
      description:
        'Of the targets that your last calls had: what is out because it failed or has no capacity, and until when.',
      scope: 'routing:read',
      query: BreakersQuery,
      response: Breakers,
    },
    async (ctx, { query }) => ({ object: 'list' as const, data: await listBreakers(ctx, query.all === 'true') }),
  ),

  post(
    '/api/v1/routing/breakers/:target/reset',
    {
      summary: 'Close a breaker',
      description:
        'The target is tried again at once. `target` is `provider/model` with its slashes encoded. A provider of the ' +
        'installation has one breaker for all organisations.',
      scope: 'routing:write',
      params: TargetParams,
      response: BreakerView,
    },
    (ctx, { params }) => resetBreaker(ctx, params.target),
  ),

  post(
    '/api/v1/routing/replay',
    {
      summary: 'Try a routing policy on decisions of the past',
      description:
        'What calls would have cost and taken, and how good their answers would have been, had the policy routed them: ' +
        'estimated from what was decided and how likely that was (IPS and SNIPS, with bounds for 95 %). Also tells whether ' +
        'every decision follows from its own inputs. Runs nothing and changes nothing. With `Prefer: respond-async` it is ' +
        'a job, whose result it is.',
      scope: 'routing:write',
      body: ReplayRequest,
      response: Replayed,
      isKept: false,
    },
    async (ctx, { body }, request) => {
      if (!wantsLater(request)) return replay(ctx, body)
      return answerLater(await startJob(ctx, { kind: 'routing.replay', input: body }))
    },
  ),
]

import { del, get, type Route } from '../../http/route.ts'
import { purge, removeEntry } from './removal.ts'
import { CacheStats, EntryParams, Purged, PurgeQuery, StatsQuery } from './schema.ts'
import { cacheStats } from './stats.ts'

export const routes: readonly Route[] = [
  get(
    '/api/v1/cache/stats',
    {
      summary: 'Show what kept answers are worth',
      description:
        'How many there are, and how often one was there that was looked for. Calls are counted a second or two after ' +
        'they have ended.',
      scope: 'cache:read',
      query: StatsQuery,
      response: CacheStats,
    },
    (ctx, { query }) => cacheStats(ctx, query),
  ),

  del(
    '/api/v1/cache',
    {
      summary: 'Remove kept answers',
      description:
        'All of the organisation, or those that everything fits that is said. They are answers no more from the reply on.',
      scope: 'cache:write',
      query: PurgeQuery,
      response: Purged,
    },
    async (ctx, { query }) => ({ object: 'cache_purge' as const, removed: await purge(ctx, query) }),
  ),

  del(
    '/api/v1/cache/:key',
    {
      summary: 'Remove one kept answer',
      description: 'By the key that `x-helix-cache-key` names.',
      scope: 'cache:write',
      params: EntryParams,
    },
    async (ctx, { params }) => {
      await removeEntry(ctx, params.key)
      return undefined
    },
  ),
]

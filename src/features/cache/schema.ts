import * as z from 'zod'
import { LABEL } from '../../core/ids.ts'

/** A day, and an hour where nobody says otherwise. */
export const MAX_TTL_SECONDS = 86_400
export const DEFAULT_TTL_SECONDS = 3600
const MAX_TAGS = 8
const MAX_STATS_HOURS = 720

const Scope = z.enum(['key', 'user', 'org'])

/** What a caller may ask of the cache: `helix.cache` of a call. */
export const CacheOptions = z.strictObject({
  mode: z
    .enum(['off', 'exact'], {
      error: ({ input }) => (input === 'semantic' ? 'is not available yet: exact is' : undefined),
    })
    .optional(),
  ttl_seconds: z.int().min(1).max(MAX_TTL_SECONDS).optional(),
  /** With whom an answer is shared: nobody but the key itself unless said. */
  scope: Scope.optional(),
  /** Neither looked up nor kept, whatever else is said. */
  no_store: z.boolean().optional(),
  /** Although the temperature lets every answer be another. */
  force: z.boolean().optional(),
  tags: z.array(z.string().regex(LABEL)).max(MAX_TAGS).optional(),
})
export type CacheOptions = z.output<typeof CacheOptions>

export const StatsQuery = z.strictObject({
  hours: z.coerce.number().int().min(1).max(MAX_STATS_HOURS).default(24).describe('How far to look back.'),
})
export type StatsQuery = z.output<typeof StatsQuery>

export const CacheStats = z.object({
  object: z.literal('cache_stats'),
  entries: z.int().describe('Answers that are kept now.'),
  since: z.int().describe('Unix seconds from which calls are counted.'),
  hits: z.int(),
  misses: z.int().describe('Calls that asked for a kept answer when there was none.'),
  hit_rate: z.number().nullable().describe('0 to 1; null when nobody asked.'),
  saved_usd: z.number().describe('What the answers of the hits have cost when they were made.'),
})

export const PurgeQuery = z.strictObject({
  scope: Scope.optional().describe('Answers that are shared so.'),
  key_id: z.string().min(1).max(64).optional().describe('Answers that calls of this key made.'),
  model: z.string().min(1).max(320).optional().describe('The name that was asked for, or the model that answered.'),
  tag: z.string().regex(LABEL).optional(),
  before: z.coerce
    .number()
    .int()
    .min(0)
    .max(Number.MAX_SAFE_INTEGER)
    .optional()
    .describe('Unix seconds: answers that were made earlier.'),
})
export type PurgeQuery = z.output<typeof PurgeQuery>

export const Purged = z.object({ object: z.literal('cache_purge'), removed: z.int() })

export const EntryParams = z.object({ key: z.string().regex(/^[\w-]{43}$/) })

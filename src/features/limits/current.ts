import { and, eq, or } from 'drizzle-orm'
import type { Limit } from '../../core/admission.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError, DependencyError, unfit } from '../../core/errors.ts'
import type { RedisCommand } from '../../core/redis.ts'
import { covers } from '../../core/roles.ts'
import { compileLimits, type LimitRow } from './compile.ts'
import { isOf, isOwn } from './rows.ts'
import type { CurrentLimits, CurrentQuery } from './schema.ts'
import { standingOf } from './standing.ts'
import { type LimitSubject, requireLimited } from './subject.ts'
import { limits } from './table.ts'
import { isOnTarget } from './targets.ts'
import { frameOf, limitKeys } from './windows.ts'

/**
 * Where every limit stands that binds the caller, or a subject that they may look at.
 * Throws 403, 422, and 503 when Redis, which counts, does not answer.
 */
export async function currentLimits(ctx: Ctx, query: CurrentQuery): Promise<CurrentLimits> {
  const subject = await subjectOf(ctx, query)
  const all = subject ? await limitsOn(ctx, subject) : ctx.admission.policy.limits
  const nowMs = ctx.now()
  const counted = all.filter(({ metric }) => metric !== 'concurrency')
  const frames = counted.map((limit) => [limit.id, frameOf(ctx.caller.orgId, limit, nowMs)] as const)
  const states = await read(
    ctx,
    frames.flatMap(([, { keys }]) => keys),
  )
  const frameById = new Map(frames)
  return {
    object: 'list',
    data: all.map((limit) => {
      const { id, subject: subject_kind, target: provider = null, metric, mode } = limit
      const { algorithm, window = null, amount, burst = null } = limit
      const frame = frameById.get(id)
      const standing = frame && standingOf(limit, frame, { states, nowMs })
      return {
        ...{ id, subject_kind, provider, metric, algorithm, window, amount, burst, mode },
        remaining: standing?.remaining ?? null,
        resets_in_seconds: standing ? Math.ceil(standing.resetMs / 1000) : null,
      }
    }),
  }
}

async function subjectOf(ctx: Ctx, { subject_kind, subject_id }: CurrentQuery): Promise<KnownSubject | undefined> {
  if (subject_kind === undefined && subject_id === undefined) return undefined
  if (!covers(ctx.caller.scopes, 'governance:read')) {
    throw new AppError('permission_denied', 'The limits of others need the scope governance:read.')
  }
  if (subject_kind === undefined) throw unfit('subject_kind', 'is missing')
  return requireLimited(ctx, { subject_kind, subject_id })
}

type KnownSubject = Awaited<ReturnType<typeof requireLimited>>

/**
 * The limits that bind calls of a subject: its own, those of the person it belongs to, and the organisation's; of a model
 * those of its provider, too.
 */
async function limitsOn(ctx: Ctx, { userId, ...subject }: KnownSubject): Promise<Limit[]> {
  const { orgId } = ctx.caller
  const org: LimitSubject = { subject_kind: 'org', subject_id: orgId }
  const user: LimitSubject[] = userId === undefined ? [] : [{ subject_kind: 'user', subject_id: userId }]
  const own = or(...[org, ...user, subject].map((one) => isOf(orgId, one)))
  const isOfProvider = subject.subject_kind === 'provider'
  const bound = isOfProvider ? and(isOwn(orgId), eq(limits.subject_kind, 'provider')) : own
  const [rows] = await ctx.db.atomically(orgId, (query) => [
    query.select().from(limits).where(bound).orderBy(limits.id),
  ])
  const all = compileLimits(rows)
  return isOfProvider ? all.filter((limit) => bindsTarget(limit, subject.subject_id)) : all
}

const bindsTarget = (limit: Limit, id: string): boolean => limit.target === id || isOnTarget(limit, id)

async function read({ redis }: Pick<Ctx, 'redis'>, keys: readonly string[]): Promise<ReadonlyMap<string, string>> {
  if (keys.length === 0) return new Map()
  const values = await redis.pipeline(keys.map((key): RedisCommand => ['GET', key]))
  return new Map(
    keys.flatMap((key, at) => {
      const value = values[at]
      return value === null || value === undefined ? [] : [[key, String(value)] as const]
    }),
  )
}

/** How often a monitoring limit would have refused today; null for one that enforces, and without Redis. */
export async function wouldHaveRefused(ctx: Ctx, { id, mode }: LimitRow): Promise<number | null> {
  if (mode !== 'monitor') return null
  try {
    const [counts] = await ctx.redis.pipeline([['HGETALL', limitKeys.shadow(ctx.caller.orgId, ctx.now())]])
    return isCounts(counts) ? Number(counts[id] ?? 0) : 0
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    return null
  }
}

const isCounts = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

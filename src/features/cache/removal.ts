import type { Ctx } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import { actorOf, auditLog, auditRow } from '../audit/service.ts'
import { cacheKeys } from './key.ts'
import type { PurgeQuery } from './schema.ts'
import { findScript, MAX_REMOVED, removeScript } from './scripts.ts'

/** More steps than there can be pages of entries: whoever writes meanwhile must not keep a search going. */
const MAX_STEPS = 100

/**
 * Removes every kept answer of the caller's organisation that everything fits that is said, in steps that keep nobody
 * waiting, and how many there were. An isolate's own copy is worth nothing from then on: Redis is asked at every call.
 * Throws `DependencyError('redis')` and `DependencyError('postgres')`.
 */
export async function purge(ctx: Ctx, query: PurgeQuery): Promise<number> {
  // What is written down first may not have happened in full; what happened has been written down. Words of the caller
  // that nobody has checked are not among it.
  await note(ctx, 'cache.purge', { details: { by: Object.keys(query), scope: query.scope, before: query.before } })
  const found = await search(ctx, query)
  let removed = 0
  for (let at = 0; at < found.length; at += MAX_REMOVED) {
    removed += await remove(ctx, found.slice(at, at + MAX_REMOVED))
  }
  return removed
}

/** Removes one answer. Throws 404 where there is none, and as `purge` does. */
export async function removeEntry(ctx: Ctx, digest: string): Promise<void> {
  if ((await remove(ctx, [cacheKeys.entry(ctx.caller.orgId, digest)])) === 0) throw notFound('answer')
  await note(ctx, 'cache.remove', { target: { kind: 'answer', id: digest } })
}

async function search({ redis, caller: { orgId } }: Ctx, query: PurgeQuery): Promise<string[]> {
  const { scope = '', key_id = '', model = '', tag = '', before = '' } = query
  // A search may come across the same one twice.
  const found = new Set<string>()
  let cursor = '0'
  for (let step = 0; step < MAX_STEPS; step++) {
    const reply = await redis.run(findScript, [cacheKeys.index(orgId)], [cursor, scope, key_id, model, tag, before])
    if (!Array.isArray(reply)) throw new TypeError('cache: the script answered no list')
    const [next, ...keys] = reply.map(String)
    for (const key of keys) found.add(key)
    cursor = next ?? '0'
    if (cursor === '0') break
  }
  return [...found]
}

async function remove({ redis, caller: { orgId } }: Ctx, keys: readonly string[]): Promise<number> {
  return Number(await redis.run(removeScript, [cacheKeys.index(orgId), cacheKeys.due(orgId), ...keys], []))
}

async function note(
  ctx: Ctx,
  action: string,
  what: Pick<Parameters<typeof auditRow>[1], 'target' | 'details'>,
): Promise<void> {
  const { caller, db } = ctx
  const row = await auditRow(ctx, { orgId: caller.orgId, actor: actorOf(caller), action, ...what })
  await db.atomically(caller.orgId, (query) => [query.insert(auditLog).values(row)])
}

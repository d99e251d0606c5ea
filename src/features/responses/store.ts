import { and, eq, gt, inArray, lte, sql } from 'drizzle-orm/sql'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import type { PageQuery } from '../../http/page.ts'
import { keyVersionOf, seal } from '../encryption/service.ts'
import { type Kept, type KeptRow, MAX_BYTES, openRows, placeOf, type StoreDeps } from './kept.ts'
import type { Fields, ResponseObject } from './response.ts'
import { responses } from './table.ts'

/** How long a response can be asked for, and gone on with. */
const KEPT_SECONDS = 30 * 24 * 3600

/** No answer waits longer to be stored. */
const PATIENCE_MS = 5000

/**
 * Stores a response under the caller's organisation; false when that fails or takes too long. Its answer is paid for:
 * its caller gets it in any case, and is told that it can be had only once.
 */
export async function keepInTime(ctx: Ctx, kept: Kept): Promise<boolean> {
  const keeping = keepResponse(ctx, kept)
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), PATIENCE_MS)
  })
  try {
    if ((await Promise.race([keeping, late])) !== 'late') return true
    // Whoever is told that nothing is stored shall be right.
    ctx.defer(keeping.then(() => removeResponse(ctx, ctx.caller.orgId, kept.id)))
    ctx.log.error('response_not_stored', { request_id: ctx.requestId, response_id: kept.id, cause: 'too slow' })
  } catch (cause) {
    ctx.log.error('response_not_stored', { request_id: ctx.requestId, response_id: kept.id, cause })
  } finally {
    clearTimeout(timer)
  }
  return false
}

/** Throws `DependencyError('postgres')` and `SealError`. */
async function keepResponse(ctx: Ctx, { id, previousId, input, response }: Kept): Promise<void> {
  const { orgId, keyId, userId } = ctx.caller
  const sealedInput = await seal(ctx, placeOf(orgId, id, 'input'), JSON.stringify(input))
  const output = await seal(ctx, placeOf(orgId, id, 'output'), JSON.stringify(response))
  const { model, status } = response
  if (status === 'in_progress') throw new TypeError('a response is stored when it has ended')
  const now = nowSeconds(ctx)
  const row: typeof responses.$inferInsert = {
    id,
    org_id: orgId,
    key_id: keyId,
    user_id: userId ?? null,
    model,
    status,
    previous_response_id: previousId,
    input: sealedInput,
    output,
    dek_version: keyVersionOf(output),
    expires_at: now + KEPT_SECONDS,
    created_at: now,
  }
  await ctx.db.atomically(orgId, (query) => [query.insert(responses).values(row)])
}

/** Rows of an organisation whose time is not over. */
const isAlive = (deps: Pick<Deps, 'now'>, orgId: string) =>
  and(eq(responses.org_id, orgId), gt(responses.expires_at, nowSeconds(deps)))

/** Those of these that there are, by id; of very long ones the newest. Throws `DependencyError('postgres')`. */
export async function readResponses(
  deps: StoreDeps,
  orgId: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Kept>> {
  if (ids.length === 0) return new Map()
  const [{ rows }] = await deps.db.atomically(orgId, (query) => [
    query.execute<KeptRow>(sql`
      select id, previous_response_id, input, output from (
        select id, previous_response_id, input, output,
          sum(octet_length(input) + octet_length(output)) over (order by id desc) as bytes
        from responses where ${isAlive(deps, orgId)} and ${inArray(responses.id, [...ids])}
      ) newest where bytes <= ${MAX_BYTES}`),
  ])
  const kept = await openRows(deps, orgId, rows)
  return new Map(kept.map((one) => [one.id, one]))
}

/** Everything is gone but what others hold of it. Whether there was any. Throws `DependencyError('postgres')`. */
export async function removeResponse(deps: Pick<Deps, 'db' | 'now'>, orgId: string, id: string): Promise<boolean> {
  const [rows] = await deps.db.atomically(orgId, (query) => [
    query
      .delete(responses)
      .where(and(isAlive(deps, orgId), eq(responses.id, id)))
      .returning({ id: responses.id }),
  ])
  return rows.length > 0
}

/** Removes what has expired, a batch at a time; how many rows that were. Throws `DependencyError('postgres')`. */
export async function removeExpired(deps: Pick<Deps, 'db' | 'now'>, orgId: string, most: number): Promise<number> {
  const [rows] = await deps.db.atomically(orgId, (query) => [
    query
      .delete(responses)
      .where(
        and(
          eq(responses.org_id, orgId),
          inArray(
            responses.id,
            query
              .select({ id: responses.id })
              .from(responses)
              .where(and(eq(responses.org_id, orgId), lte(responses.expires_at, nowSeconds(deps))))
              .limit(most),
          ),
        ),
      )
      .returning({ id: responses.id }),
  ])
  return rows.length
}

/** One that is stored. Throws 404. */
export async function readResponse(ctx: Ctx, id: string): Promise<Kept> {
  const kept = (await readResponses(ctx, ctx.caller.orgId, [id])).get(id)
  if (!kept) throw notFound('response')
  return kept
}

/** An item as its caller may see it. */
const shownItem = ({ thinking_blocks: _thoughts, ...item }: Fields): Fields => item

/** A stored response as its caller may see it. */
export const shownResponse = (response: ResponseObject) => ({
  ...response,
  object: 'response' as const,
  output: response.output.map(shownItem),
})

/** What a response was asked with from an item on, as its caller may see it; none after an item that is not there. */
export function itemsAfter({ input }: Pick<Kept, 'input'>, { order, after, limit }: PageQuery) {
  const inOrder = order === 'asc' ? input : [...input].reverse()
  const start = after === undefined ? 0 : inOrder.findIndex(({ id }) => id === after) + 1
  if (after !== undefined && start === 0) return []
  return inOrder.slice(start, start + limit + 1).map(({ thinking_blocks: _thoughts, ...item }) => item)
}

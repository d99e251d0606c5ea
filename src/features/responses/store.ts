import { and, eq, gt, inArray, lte, sql } from 'drizzle-orm/sql'
import * as z from 'zod'
import { nowSeconds } from '../../core/clock.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import { notFound } from '../../core/errors.ts'
import type { PageQuery } from '../../http/page.ts'
import { keyVersionOf, open, SealError, seal } from '../encryption/service.ts'
import type { Item } from './items-schema.ts'
import type { Fields, ResponseObject } from './response.ts'
import { responses } from './table.ts'

/** How long a response can be asked for, and gone on with. */
const KEPT_SECONDS = 30 * 24 * 3600

/** A response as it is stored: `input` is what was sent with it alone; items of both may have thoughts. */
export type Kept = { id: string; previousId: string | null; input: KeptItem[]; response: ResponseObject }

export type KeptItem = Item & { id: string; type: string }

export type KeyDeps = Parameters<typeof open>[0]
export type StoreDeps = KeyDeps & Pick<Deps, 'log'>
type Column = 'input' | 'output'
type Row = { id: string; previous_response_id: string | null; input: string; output: string }

const placeOf = (orgId: string, id: string, column: Column) => ({ orgId, table: 'responses', column, rowId: id })

/** Stores a response under the caller's organisation. Throws `DependencyError('postgres')` and `SealError`. */
export async function keepResponse(ctx: Ctx, { id, previousId, input, response }: Kept): Promise<void> {
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

/** Those of these that there are, by id. Throws `DependencyError('postgres')`. */
export async function readResponses(
  deps: StoreDeps,
  orgId: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Kept>> {
  if (ids.length === 0) return new Map()
  const [rows] = await deps.db.atomically(orgId, (query) => [
    query
      .select()
      .from(responses)
      .where(and(isAlive(deps, orgId), inArray(responses.id, [...ids]))),
  ])
  const kept = await openAll(deps, orgId, rows)
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

/** A conversation is followed so far back, and no further than this many bytes of sealed text. */
const MAX_DEPTH = 1000
const MAX_BYTES = 24_000_000

const Links = z.array(
  z.object({
    id: z.string(),
    previous: z.string().nullable(),
    // Null where the conversation is too long by then.
    input: z.string().nullable(),
    output: z.string().nullable(),
  }),
)

/** What is missing of a conversation, or that it is too long to go on with. */
export type Broken = { missing: string } | 'too_long'

/**
 * A response and those before it, the oldest first. Throws `DependencyError('postgres')`.
 * One statement, whatever the length: texts are read only of what is gone on with.
 */
export async function readChain(deps: StoreDeps, orgId: string, id: string): Promise<Kept[] | Broken> {
  const now = nowSeconds(deps)
  const [{ rows }] = await deps.db.atomically(orgId, (query) => [
    query.execute(sql`
      with recursive chain (id, previous, depth, bytes) as (
        select r.id, r.previous_response_id, 1, octet_length(r.input) + octet_length(r.output)
        from responses r where r.org_id = ${orgId} and r.id = ${id} and r.expires_at > ${now}
        union all
        select r.id, r.previous_response_id, c.depth + 1, c.bytes + octet_length(r.input) + octet_length(r.output)
        from chain c join responses r on r.id = c.previous
        where r.org_id = ${orgId} and r.expires_at > ${now} and c.depth < ${MAX_DEPTH}::int and c.bytes <= ${MAX_BYTES}::int
      )
      select c.id, c.previous,
        case when c.bytes <= ${MAX_BYTES}::int then r.input end as input,
        case when c.bytes <= ${MAX_BYTES}::int then r.output end as output
      from chain c join responses r on r.id = c.id where r.org_id = ${orgId} order by c.depth desc`),
  ])
  const links = Links.parse(rows)
  const [oldest] = links
  if (!oldest) return { missing: id }
  if (oldest.input === null || (oldest.previous !== null && links.length === MAX_DEPTH)) return 'too_long'
  if (oldest.previous !== null) return { missing: oldest.previous }
  const sealed = links.map(({ id: one, previous, input, output }) => ({
    id: one,
    previous_response_id: previous,
    input: input ?? '',
    output: output ?? '',
  }))
  const kept = await openAll(deps, orgId, sealed)
  const unreadable = sealed.find(({ id: one }) => !kept.some((each) => each.id === one))
  return unreadable ? { missing: unreadable.id } : kept
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

/** One that does not open is as good as none: its key is gone, or it was not sealed for this place. */
async function openAll(deps: StoreDeps, orgId: string, rows: readonly Row[]): Promise<Kept[]> {
  const kept: Kept[] = []
  for (const row of rows) {
    try {
      kept.push(await openRow(deps, orgId, row))
    } catch (error) {
      if (!(error instanceof SealError)) throw error
      deps.log.warn('response_unreadable', { org_id: orgId, response_id: row.id })
    }
  }
  return kept
}

async function openRow(deps: KeyDeps, orgId: string, row: Row): Promise<Kept> {
  const input: KeptItem[] = JSON.parse(await open(deps, placeOf(orgId, row.id, 'input'), row.input))
  const response: ResponseObject = JSON.parse(await open(deps, placeOf(orgId, row.id, 'output'), row.output))
  return { id: row.id, previousId: row.previous_response_id, input, response }
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

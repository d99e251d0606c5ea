import { sql } from 'drizzle-orm/sql'
import * as z from 'zod'
import { nowSeconds } from '../../core/clock.ts'
import { type Kept, MAX_BYTES, openRows, type StoreDeps } from './kept.ts'

/** A conversation is followed no further back. */
const MAX_DEPTH = 1000

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
  const kept = await openRows(deps, orgId, sealed)
  const unreadable = sealed.find(({ id: one }) => !kept.some((each) => each.id === one))
  return unreadable ? { missing: unreadable.id } : kept
}

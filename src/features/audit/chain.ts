/** The chain of an organisation's audit log, worked out from stored columns alone. `drizzle/0005_money_rules.sql` makes it. */

const FORM = 'helix.audit.1'

/** Columns that a hash covers, in order, after the form and the hash before. */
const COVERED = [
  'seq',
  'id',
  'org_id',
  'actor_kind',
  'actor_id',
  'action',
  'target_kind',
  'target_id',
  'before_hash',
  'after_hash',
  'details',
  'ip',
  'request_id',
  'created_at',
] as const

/** Every column of a row. */
export const chainColumns = ['prev_hash', ...COVERED, 'hash'] as const

/** A row with every column as Postgres writes it as text: a number that JavaScript would round stays what it is. */
export type ChainRow = Readonly<Record<(typeof chainColumns)[number], string | null>>

/** The end of a chain as the database knows it. */
export type Head = { seq: number; hash: string }

/**
 * What is wrong: `changed`: a row is not what its hash says. `unlinked`: it does not follow the row before it.
 * `missing`: no row has that place. `head`: the row is beyond the end that was noted, or that end has another hash.
 * `before_chain`: rows without a place were added or taken away since the chain began.
 */
export type Break = {
  seq: number
  id: string | null
  why: 'changed' | 'unlinked' | 'missing' | 'head' | 'before_chain'
}

async function digest(parts: readonly (string | null)[]): Promise<string> {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(JSON.stringify(parts)))
  return Buffer.from(bytes).toString('hex')
}

/** The hash that a row must have, hex. */
export const hashOfRow = (row: ChainRow): Promise<string> =>
  digest([FORM, row.prev_hash, ...COVERED.map((name) => row[name])])

/** What the first row of a chain follows: how many rows there were without one. */
export const startOf = (orgId: string, olderRows: number): Promise<string> => digest([FORM, orgId, String(olderRows)])

/** The first of these rows, which are in order, that does not follow from `from`: the place and the hash before them. */
export async function breakIn(rows: readonly ChainRow[], from: Head): Promise<Break | undefined> {
  const hashes = await Promise.all(rows.map(hashOfRow))
  let before = from
  for (const [index, row] of rows.entries()) {
    const place = { seq: before.seq + 1, id: row.id }
    if (Number(row.seq) !== place.seq) return { seq: place.seq, id: null, why: 'missing' }
    if (row.hash !== hashes[index]) return { ...place, why: 'changed' }
    if (row.prev_hash !== before.hash) {
      // Nothing comes before the first row but the count of those that have no place.
      return place.seq === 1 ? { seq: 0, id: null, why: 'before_chain' } : { ...place, why: 'unlinked' }
    }
    before = { seq: place.seq, hash: row.hash ?? '' }
  }
  return undefined
}

/** Whether the last row is where the database says that the chain ends. */
export function breakAtEnd(last: Head & { id: string | null }, head: Head | undefined): Break | undefined {
  if (head === undefined) return last.seq === 0 ? undefined : { seq: last.seq, id: last.id, why: 'head' }
  if (head.seq > last.seq) return { seq: last.seq + 1, id: null, why: 'missing' }
  if (head.seq < last.seq) return { seq: head.seq + 1, id: null, why: 'head' }
  return head.hash === last.hash ? undefined : { seq: last.seq, id: last.id, why: 'head' }
}

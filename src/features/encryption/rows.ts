import { type SQL, sql } from 'drizzle-orm/sql'
import * as z from 'zod'
import type { Deps } from '../../core/context.ts'
import { type SealedColumn, sealedColumns } from './columns.ts'
import { type Place, parseSealed } from './seal.ts'

const name = (...parts: readonly string[]): SQL =>
  sql.join(
    parts.map((part) => sql.identifier(part)),
    sql.raw('.'),
  )

const MAX_HEAD_CHARACTERS = 16
/** The version in a stored text, from its beginning alone: the rest may be long. Null for what is no sealed text. */
const versionIn = ({ table, column }: SealedColumn): SQL =>
  sql`substring(left(${name(table, column)}, ${MAX_HEAD_CHARACTERS}::int) from '^v1[.]([1-9][0-9]{0,8})[.]')::int`

const ofOrg = ({ table }: SealedColumn, orgId: string): SQL => sql`${name(table, 'org_id')} = ${orgId}`

export const columnOf = ({ table, column }: Pick<Place, 'table' | 'column'>): SealedColumn => {
  const found = sealedColumns.find((one) => one.table === table && one.column === column)
  if (!found) throw new Error(`${table}.${column} is not among the sealed columns.`)
  return found
}

/** One sealing of a row's value in the place of another. */
export type Replacement = { rowId: string; from: string; to: string }

/** The IV is random and no two sealings share it: what comes before the body tells them apart. */
const headOf = (sealed: string): string => sealed.slice(0, sealed.lastIndexOf('.') + 1)

/**
 * Stores texts that were sealed again under one version, all or none. Whoever has stored a newer value meanwhile keeps
 * theirs.
 */
export async function replaceSealed(
  { db }: Pick<Deps, 'db'>,
  { orgId, column }: { orgId: string; column: SealedColumn },
  replacements: readonly Replacement[],
): Promise<void> {
  const [first] = replacements
  if (!first) return
  const { table, id, version } = column
  const set = sql`${name(column.column)} = given.text`
  const versioned = version === undefined ? set : sql`${set}, ${name(version)} = ${parseSealed(first.to).version}`
  const given = JSON.stringify(replacements.map(({ rowId, from, to }) => ({ id: rowId, head: headOf(from), text: to })))
  await db.atomically(orgId, (query) => [
    query.execute(sql`
      update ${name(table)} set ${versioned}
      from json_to_recordset(${given}::json) as given (id text, head text, text text)
      where ${ofOrg(column, orgId)} and ${name(table, id)} = given.id
        and starts_with(${name(table, column.column)}, given.head)`),
  ])
}

const BATCH_ROWS = 50
/** A batch ends with the row that reaches this; rows are 6 MB long at most. */
const BATCH_BYTES = 2_000_000

const SealedRows = z.array(z.object({ id: z.string(), text: z.string() }))
export type SealedRow = z.output<typeof SealedRows>[number]

/** The next rows after an id that are sealed under a version below the given one, by id; none when there are no more. */
export async function readOlder(
  { db }: Pick<Deps, 'db'>,
  { orgId, column }: { orgId: string; column: SealedColumn },
  { version, after }: { version: number; after: string },
): Promise<SealedRow[]> {
  const { table } = column
  const [id, text] = [name(table, column.id), name(table, column.column)]
  const [{ rows }] = await db.atomically(orgId, (query) => [
    query.execute(sql`
      select id, text from (
        select id, text, sum(octet_length(text)) over (order by id) - octet_length(text) as before from (
          select ${id} as id, ${text} as text from ${name(table)}
          where ${ofOrg(column, orgId)} and ${versionIn(column)} < ${version} and ${id} > ${after}
          order by ${id} limit ${BATCH_ROWS}
        ) next
      ) batch where before < ${BATCH_BYTES} order by id`),
  ])
  return SealedRows.parse(rows)
}

const Counts = z.array(z.object({ version: z.int().nullable(), rows: z.coerce.number() }))
export type VersionCount = z.output<typeof Counts>[number]

/** How many rows of an organisation are under which version, by column. A version of null: a text that is not sealed. */
export async function countVersions(
  { db }: Pick<Deps, 'db'>,
  orgId: string,
): Promise<{ column: SealedColumn; versions: VersionCount[] }[]> {
  return Promise.all(
    sealedColumns.map(async (column) => {
      const [{ rows }] = await db.atomically(orgId, (query) => [
        query.execute(sql`
          select ${versionIn(column)} as version, count(*) as rows from ${name(column.table)}
          where ${ofOrg(column, orgId)} and ${name(column.table, column.column)} <> '' group by 1 order by 1`),
      ])
      return { column, versions: Counts.parse(rows) }
    }),
  )
}

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { is } from 'drizzle-orm'
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core'
import type { Stack } from './stack.ts'

export type Column = {
  table: string
  name: string
  /** As information_schema names it; that of an extension by its own name. */
  type: string
  /** Postgres makes its value, and takes none. */
  isGenerated: boolean
  /** By a foreign key. */
  refersTo: { table: string; column: string } | undefined
}

/** Every table with a column `org_id`. */
export async function tenantTables(stack: Pick<Stack, 'query'>): Promise<string[]> {
  const rows = await stack.query(
    `select c.table_name from information_schema.columns c
     join information_schema.tables t using (table_schema, table_name)
     where c.table_schema = 'public' and c.column_name = 'org_id' and t.table_type = 'BASE TABLE' order by 1`,
  )
  return rows.map((row) => String(row.table_name))
}

/** Every column of every table, in order. */
export async function columnsOf(stack: Pick<Stack, 'query'>): Promise<Column[]> {
  const rows = await stack.query(
    `select c.table_name, c.column_name, c.is_generated, f.to_table, f.to_column,
       case c.data_type when 'USER-DEFINED' then c.udt_name else c.data_type end as data_type
     from information_schema.columns c
     left join (
       select k.conrelid::regclass::text as from_table, a.attname as from_column,
         k.confrelid::regclass::text as to_table, b.attname as to_column
       from pg_constraint k
       join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
       join pg_attribute b on b.attrelid = k.confrelid and b.attnum = k.confkey[1]
       where k.contype = 'f' and k.connamespace = 'public'::regnamespace
     ) f on f.from_table = c.table_name and f.from_column = c.column_name
     where c.table_schema = 'public' order by c.table_name, c.ordinal_position`,
  )
  return rows.map((row) => ({
    table: String(row.table_name),
    name: String(row.column_name),
    type: String(row.data_type),
    isGenerated: row.is_generated === 'ALWAYS',
    refersTo: row.to_table === null ? undefined : { table: String(row.to_table), column: String(row.to_column) },
  }))
}

/** One allowed value of every column that takes only some, by `table.column`, as the program declares them. */
export async function vocabulariesOf(): Promise<Map<string, string>> {
  const features = join(import.meta.dirname, '../../src/features')
  const files = readdirSync(features, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('table.ts'))
  const modules: Record<string, unknown>[] = await Promise.all(files.map((file) => import(join(features, file))))
  const tables = modules.flatMap((module) => Object.values(module).filter((value) => is(value, PgTable)))
  const found = tables.flatMap((table) => {
    const { name, columns } = getTableConfig(table)
    return columns.flatMap((column) => {
      const [first] = column.enumValues ?? []
      return first === undefined ? [] : [[`${name}.${column.name}`, first] as const]
    })
  })
  return new Map(found)
}

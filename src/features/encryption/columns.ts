/** A column of a tenant table whose texts are sealed; `id` is the column whose value is the row's in `Place.rowId`. */
export type SealedColumn = {
  table: string
  column: string
  id: string
  /** The column that repeats the version of the data key, where there is one. */
  version?: string
}

/** Every such column: what a rotation seals again and the status counts. A new one is sealed from its line here on. */
export const sealedColumns: readonly SealedColumn[] = [
  { table: 'secrets', column: 'value', id: 'id', version: 'dek_version' },
  { table: 'idempotency_keys', column: 'body', id: 'id' },
  { table: 'provider_credentials', column: 'secret', id: 'id', version: 'dek_version' },
  { table: 'nodes', column: 'credential', id: 'id', version: 'dek_version' },
  // Both texts of a row are under the version that it repeats once the later one of them is.
  { table: 'responses', column: 'input', id: 'id' },
  { table: 'responses', column: 'output', id: 'id', version: 'dek_version' },
]

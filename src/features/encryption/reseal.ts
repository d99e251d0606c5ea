import type { DataKey } from '../../core/memory.ts'
import { type SealedColumn, sealedColumns } from './columns.ts'
import type { KeyDeps } from './data-keys.ts'
import { type Replacement, readOlder, replaceSealed, type SealedRow } from './rows.ts'
import { SealError, sealText } from './seal.ts'
import { open } from './service.ts'

/** What was done: rows that were sealed again, and those that do not open and stay as they are. */
export type Resealed = { rows: number; unreadable: number /** Nothing that opens is left. */; isEnd: boolean }

/** The key to seal with; no batch is begun after so many rows or at that time (Unix milliseconds). */
export type ResealLimits = { key: DataKey; maxRows: number; endMs: number }

/**
 * Seals under one key what older keys of an organisation have sealed, batch after batch. A row that somebody writes
 * meanwhile keeps what they wrote, and wherever it ends every row opens. Throws `DependencyError('postgres')`.
 */
export async function sealAgain(deps: KeyDeps, orgId: string, limits: ResealLimits): Promise<Resealed> {
  const { key, maxRows, endMs } = limits
  const run: Resealed = { rows: 0, unreadable: 0, isEnd: false }
  for (const column of sealedColumns) {
    for (let after = ''; ; ) {
      if (run.rows >= maxRows || deps.now() >= endMs) return run
      const rows = await readOlder(deps, { orgId, column }, { version: key.version, after })
      const last = rows.at(-1)
      if (!last) break
      const replacements: Replacement[] = []
      // One after the other: the first reads a key that the others then find in memory.
      for (const row of rows) replacements.push(...(await sealOne(deps, orgId, { key, column, row })))
      await replaceSealed(deps, { orgId, column }, replacements)
      run.rows += replacements.length
      run.unreadable += rows.length - replacements.length
      after = last.id
    }
  }
  run.isEnd = true
  return run
}

type Work = { key: DataKey; column: SealedColumn; row: SealedRow }

/** Nothing for a row that does not open. */
async function sealOne(deps: KeyDeps, orgId: string, { key, column, row }: Work): Promise<Replacement[]> {
  const place = { orgId, table: column.table, column: column.column, rowId: row.id }
  try {
    return [{ rowId: row.id, from: row.text, to: await sealText(key, place, await open(deps, place, row.text)) }]
  } catch (error) {
    if (error instanceof SealError) return []
    throw error
  }
}

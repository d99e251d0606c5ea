import type { Deps } from '../../core/context.ts'
import { open, SealError } from '../encryption/service.ts'
import type { Item } from './items-schema.ts'
import type { ResponseObject } from './response.ts'

/** A response as it is stored: `input` is what was sent with it alone; items of both may have thoughts. */
export type Kept = { id: string; previousId: string | null; input: KeptItem[]; response: ResponseObject }

export type KeptItem = Item & { id: string; type: string }

export type KeyDeps = Parameters<typeof open>[0]
export type StoreDeps = KeyDeps & Pick<Deps, 'log'>
export type Column = 'input' | 'output'
/** Texts as they are sealed. */
export type KeptRow = { id: string; previous_response_id: string | null; input: string; output: string }

/** Where a text is sealed for. */
export const placeOf = (orgId: string, id: string, column: Column) => ({ orgId, table: 'responses', column, rowId: id })

/** Sealed text of no more bytes than these is read for one request. */
export const MAX_BYTES = 24_000_000

/** One that does not open is as good as none: its key is gone, or it was not sealed for this place. */
export async function openRows(deps: StoreDeps, orgId: string, rows: readonly KeptRow[]): Promise<Kept[]> {
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

async function openRow(deps: KeyDeps, orgId: string, row: KeptRow): Promise<Kept> {
  const input: KeptItem[] = JSON.parse(await open(deps, placeOf(orgId, row.id, 'input'), row.input))
  const response: ResponseObject = JSON.parse(await open(deps, placeOf(orgId, row.id, 'output'), row.output))
  return { id: row.id, previousId: row.previous_response_id, input, response }
}

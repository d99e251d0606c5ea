import * as z from 'zod'
import { AppError } from '../../core/errors.ts'
import { open, type Place, SealError, seal } from '../encryption/service.ts'
import type { SealThoughts } from './item-writers.ts'
import { type Item, kindOf } from './items-schema.ts'
import type { KeyDeps, StoreDeps } from './kept.ts'

/** Sealed thoughts are kept by their caller, whose clients may forget whose item they were: they are bound to the organisation. */
const placeOf = (orgId: string): Place => ({ orgId, table: 'responses', column: 'thoughts', rowId: 'caller' })

const Blocks = z.array(z.looseObject({ type: z.string() }))

/** Seals thoughts for a caller who keeps the conversation. One that cannot be sealed is logged, and left out. */
export const thoughtSealer =
  (deps: StoreDeps, { orgId, requestId }: { orgId: string; requestId: string }): SealThoughts =>
  async (blocks) => {
    try {
      return await seal(deps, placeOf(orgId), JSON.stringify(blocks))
    } catch (cause) {
      deps.log.warn('thoughts_not_sealed', { request_id: requestId, cause })
      return null
    }
  }

/**
 * Items with the thoughts that their caller has kept. Throws a 400 `AppError` for what was not sealed for the
 * organisation, and `DependencyError('postgres')`.
 */
export async function withThoughts(deps: KeyDeps, orgId: string, items: readonly Item[]): Promise<Item[]> {
  const opened: Item[] = []
  // One after the other: the first reads a key that the others then find in memory.
  for (const [position, item] of items.entries()) {
    const { encrypted_content: sealed } = item
    const isSealed =
      kindOf(item) === 'reasoning' && !item.thinking_blocks && typeof sealed === 'string' && sealed !== ''
    opened.push(isSealed ? { ...item, thinking_blocks: await openThoughts(deps, orgId, { sealed, position }) } : item)
  }
  return opened
}

async function openThoughts(deps: KeyDeps, orgId: string, { sealed, position }: { sealed: string; position: number }) {
  try {
    return Blocks.parse(JSON.parse(await open(deps, placeOf(orgId), sealed)))
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    throw new AppError('invalid_request', 'The encrypted content of a reasoning item is not of this gateway.', {
      param: `input[${position}].encrypted_content`,
      wireCode: 'invalid_encrypted_content',
    })
  }
}

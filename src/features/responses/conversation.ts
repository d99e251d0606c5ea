import { AppError } from '../../core/errors.ts'
import { readChain } from './chain.ts'
import { inputItemId, responseOfItem } from './ids.ts'
import { type Item, kindOf, MAX_ITEMS } from './items-schema.ts'
import type { Kept, KeptItem, StoreDeps } from './kept.ts'
import type { Conversation } from './request.ts'
import type { CreateResponse } from './schema.ts'
import { readResponses } from './store.ts'
import { withThoughts } from './thoughts.ts'

/**
 * A conversation as far as a request names it: what is stored of it in the organisation, and what is sent. Throws a
 * 400 `AppError` for what there is none of, and `DependencyError('postgres')`. A request that names nothing asks no
 * store.
 */
export async function readConversation(deps: StoreDeps, orgId: string, request: CreateResponse): Promise<Conversation> {
  const sent = itemsOf(request)
  const [before, referred] = await Promise.all([
    request.previous_response_id ? readBefore(deps, orgId, request.previous_response_id) : [],
    readResponses(deps, orgId, referredIn(sent)),
  ])
  const own = await withThoughts(deps, orgId, resolved(sent, referred))
  const earlier = await withThoughts(deps, orgId, before)
  if (own.length + earlier.length > MAX_ITEMS) throw tooLong()
  return { before: earlier, own }
}

function itemsOf({ input }: CreateResponse): Item[] {
  if (typeof input === 'string')
    return [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: input }] }]
  return input ?? []
}

const tooLong = () =>
  new AppError('invalid_request', 'The conversation is too long to go on with.', { param: 'previous_response_id' })

/** What could be an id at all: no store is asked for anything else. */
const POSSIBLE_ID = /^[\w-]{1,128}$/

async function readBefore(deps: StoreDeps, orgId: string, id: string): Promise<Item[]> {
  const chain = POSSIBLE_ID.test(id) ? await readChain(deps, orgId, id) : { missing: id }
  if (chain === 'too_long') throw tooLong()
  if (!('missing' in chain)) return chain.flatMap(itemsOfKept)
  throw new AppError('invalid_request', `Previous response with id '${id}' not found.`, {
    param: 'previous_response_id',
    wireCode: 'previous_response_not_found',
  })
}

/** What was said with a response, and by it. A call that broke off could never be answered. */
const itemsOfKept = ({ input, response }: Kept): Item[] => [
  ...input,
  ...(response.output as readonly Item[]).filter(({ type, status }) => !isCall(type) || status !== 'incomplete'),
]

const isCall = (type: Item['type']): boolean => type === 'function_call' || type === 'custom_tool_call'

/** Thoughts that are named and not sealed are with the response that they came from. */
const isUnsealedThought = (item: Item): boolean =>
  kindOf(item) === 'reasoning' && !item.encrypted_content && !item.thinking_blocks

/** The responses whose items are named. */
function referredIn(items: readonly Item[]): string[] {
  const named = items.filter((item) => kindOf(item) === 'item_reference' || isUnsealedThought(item))
  return [...new Set(named.flatMap(({ id }) => responseOfItem(id ?? '') ?? []))]
}

/** Items with what they name in the place of the name. Throws a 400 `AppError` for a name of nothing. */
function resolved(items: readonly Item[], referred: ReadonlyMap<string, Kept>): Item[] {
  return items.map((item, position) => {
    if (kindOf(item) !== 'item_reference' && !isUnsealedThought(item)) return item
    const kept = referred.get(responseOfItem(item.id ?? '') ?? '')
    const found = kept && [...kept.input, ...itemsOfKept(kept)].find(({ id }) => id === item.id)
    if (found) return found
    // What was thought is readable in the item itself, as far as anybody showed it.
    if (kindOf(item) === 'reasoning') return item
    throw new AppError('invalid_request', `Item with id '${item.id ?? ''}' not found.`, {
      param: `input[${position}].id`,
      wireCode: null,
    })
  })
}

/** What was sent with a response, in the form in which it is listed and gone on with: every item with an id. */
export function namedItems(responseId: string, own: readonly Item[]): KeptItem[] {
  const taken = new Set<string>()
  return own.map((item, position) => {
    const kind = kindOf(item) ?? 'message'
    // A list goes on behind an id, so no two of its items may share one.
    const id = item.id && !taken.has(item.id) ? item.id : inputItemId({ responseId, kind, position })
    taken.add(id)
    if (kind !== 'message') return { status: 'completed', ...item, type: kind, id }
    return { status: 'completed', ...item, type: kind, id, content: partsIn(item) }
  })
}

function partsIn({ role, content }: Item): Item['content'] {
  if (typeof content !== 'string') return content
  return role === 'assistant'
    ? [{ type: 'output_text', text: content, annotations: [] }]
    : [{ type: 'input_text', text: content }]
}

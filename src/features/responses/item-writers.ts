import { createJsonEnd } from '../completions/service.ts'
import type { Events } from './events.ts'
import type { CallPiece, Piece } from './pieces.ts'
import type { Fields } from './response.ts'

export type ItemStatus = 'completed' | 'incomplete'

/** Writes one item of an output. */
export type ItemWriter = {
  /** As far as it has come. */
  item: Fields & { id: string }
  write(piece: Piece): void
  /** Whether nothing of it can be missing when another item begins. */
  isWhole(): boolean
  /** What the item still waits for, if there is anything. */
  close(status: ItemStatus): Promise<unknown> | undefined
}

/** Where an item stands: its id, and its position in the output. */
export type ItemPlace = { id: string; position: number; events: Events }

const placed = ({ id, position }: ItemPlace) => ({ item_id: id, output_index: position })

const begin = ({ position, events }: ItemPlace, item: Fields): void =>
  events.add('response.output_item.added', { output_index: position, item })

function end({ position, events }: ItemPlace, item: Fields, coming?: Promise<unknown>) {
  const fields = { output_index: position, item }
  events.add('response.output_item.done', coming ? coming.then(() => fields) : fields)
  return coming
}

type Spoken = { type: 'output_text'; text: string; annotations: Fields[]; logprobs: unknown[] }
type MessagePart = Spoken | { type: 'refusal'; refusal: string }

/** What the assistant says, or why it will not. */
export function messageWriter(place: ItemPlace): ItemWriter {
  const { events } = place
  const content: MessagePart[] = []
  const item: ItemWriter['item'] = { type: 'message', id: place.id, status: 'in_progress', role: 'assistant', content }
  begin(place, item)
  let open: MessagePart | undefined

  const at = () => ({ ...placed(place), content_index: content.length - 1 })

  const closePart = (): void => {
    if (open?.type === 'output_text') {
      events.add('response.output_text.done', { ...at(), text: open.text, logprobs: open.logprobs })
    } else if (open) events.add('response.refusal.done', { ...at(), refusal: open.refusal })
    if (open) events.add('response.content_part.done', { ...at(), part: open })
    open = undefined
  }

  const openPart = <Opened extends MessagePart>(part: Opened): Opened => {
    closePart()
    open = part
    content.push(part)
    events.add('response.content_part.added', { ...at(), part })
    return part
  }

  const spoken = (): Spoken =>
    open?.type === 'output_text' ? open : openPart({ type: 'output_text', text: '', annotations: [], logprobs: [] })

  return {
    item,
    write(piece) {
      if (piece.kind === 'text') {
        const part = spoken()
        part.text += piece.text
        part.logprobs.push(...piece.logprobs)
        events.add('response.output_text.delta', { ...at(), delta: piece.text, logprobs: piece.logprobs })
      } else if (piece.kind === 'refusal') {
        const part = open?.type === 'refusal' ? open : openPart({ type: 'refusal', refusal: '' })
        part.refusal += piece.text
        events.add('response.refusal.delta', { ...at(), delta: piece.text })
      } else if (piece.kind === 'annotation') {
        const { annotations } = spoken()
        annotations.push(piece.annotation)
        const noted = { annotation_index: annotations.length - 1, annotation: piece.annotation }
        events.add('response.output_text.annotation.added', { ...at(), ...noted })
      } else if (piece.kind === 'extra') item.extra_content = piece.extra
    },
    isWhole: () => true,
    close(status) {
      closePart()
      item.status = status
      return end(place, item)
    },
  }
}

/** Seals whole thoughts for the caller to keep; null when it could not be done. */
export type SealThoughts = (blocks: readonly Fields[]) => Promise<string | null>

type Reasoning = ItemWriter & { thoughts: readonly Fields[] }

/** What was thought: a part for each thought whose text is shown. */
export function reasoningWriter(place: ItemPlace, seal: SealThoughts | undefined): Reasoning {
  const { events } = place
  const summary: { type: 'summary_text'; text: string }[] = []
  const thoughts: Fields[] = []
  const item: ItemWriter['item'] = { type: 'reasoning', id: place.id, summary }
  begin(place, item)
  let open: (typeof summary)[number] | undefined

  const at = () => ({ ...placed(place), summary_index: summary.length - 1 })

  const think = (text: string): void => {
    if (!open) {
      open = { type: 'summary_text', text: '' }
      summary.push(open)
      events.add('response.reasoning_summary_part.added', { ...at(), part: open })
    }
    open.text += text
    events.add('response.reasoning_summary_text.delta', { ...at(), delta: text })
  }

  const closePart = (): void => {
    if (!open) return
    events.add('response.reasoning_summary_text.done', { ...at(), text: open.text })
    events.add('response.reasoning_summary_part.done', { ...at(), part: open })
    open = undefined
  }

  return {
    item,
    thoughts,
    write(piece) {
      if (piece.kind === 'reasoning') think(piece.text)
      if (piece.kind !== 'thought') return
      const { type, thinking } = piece.block
      // Its text has come before, unless the whole answer came at once.
      if (!open && type === 'thinking' && typeof thinking === 'string' && thinking !== '') think(thinking)
      closePart()
      thoughts.push(piece.block)
    },
    isWhole: () => true,
    close() {
      closePart()
      if (!seal || thoughts.length === 0) return end(place, item)
      const sealing = seal(thoughts).then((sealed) => {
        item.encrypted_content = sealed
      })
      return end(place, item, sealing)
    },
  }
}

/** A call of a tool of the caller's. */
export function callWriter(place: ItemPlace, { isCustom, callId, name }: CallPiece): ItemWriter {
  const { events } = place
  const [type, field, told] = isCustom
    ? (['custom_tool_call', 'input', 'response.custom_tool_call_input'] as const)
    : (['function_call', 'arguments', 'response.function_call_arguments'] as const)
  const item: ItemWriter['item'] = {
    type,
    id: place.id,
    status: 'in_progress',
    call_id: callId || `call_${place.id}`,
    name,
    [field]: '',
  }
  begin(place, item)
  const json = createJsonEnd()
  let text = ''

  const write = (more: string): void => {
    if (more === '') return
    text += more
    if (!isCustom) json.push(more)
    events.add(`${told}.delta`, { ...placed(place), delta: more })
  }

  return {
    item,
    write(piece) {
      if (piece.kind !== 'call') return
      if (piece.extra) item.extra_content = piece.extra
      write(piece.input)
    },
    // Of words of a tool's own nobody can tell where they end.
    isWhole: () => !isCustom && json.isWhole(),
    close(status) {
      // A call without arguments is one of an empty object, which clients parse.
      if (!isCustom && status === 'completed' && text.trim() === '') write('{}')
      item[field] = text
      item.status = status
      events.add(`${told}.done`, { ...placed(place), ...(!isCustom && { name }), [field]: text })
      return end(place, item)
    },
  }
}

import type { Block } from './schema.ts'

/** A content part as OpenAI's wire knows it. */
export type Part = { type: string; [field: string]: unknown }

/** Writes down what has no form in OpenAI's wire, by the name under which the caller is told of it. */
export type Losses = Set<string>

/** Blocks as content parts, in order; a block that OpenAI's wire has no word for is noted and left out. */
export function partsOf(blocks: readonly Block[], lost: Losses): Part[] {
  return blocks.flatMap((block) => {
    const parts = partsOfBlock(block, lost)
    const last = parts.at(-1)
    // Whatever became of the block: its end is where the caller wants the prefix to be cached.
    if (last && block.cache_control) last.cache_control = block.cache_control
    return parts
  })
}

function partsOfBlock(block: Block, lost: Losses): Part[] {
  if (block.type === 'text') return [{ type: 'text', text: block.text ?? '' }]
  if (block.type === 'image') return imagePart(block, lost)
  if (block.type === 'document') return documentParts(block, lost)
  if (block.type === 'search_result') return searchResult(block, lost)
  lost.add(block.type)
  return []
}

type Source = Exclude<Block['source'], string | undefined>

const sourceOf = ({ source }: Block): Source | undefined => (typeof source === 'object' ? source : undefined)

const dataUrl = ({ media_type: type = 'application/octet-stream', data = '' }: Source): string =>
  `data:${type};base64,${data}`

function imagePart(block: Block, lost: Losses): Part[] {
  const source = sourceOf(block)
  if (source?.type === 'base64') return [{ type: 'image_url', image_url: { url: dataUrl(source) } }]
  if (source?.type === 'url') return [{ type: 'image_url', image_url: { url: source.url ?? '' } }]
  return storedFile(block, lost)
}

function documentParts(block: Block, lost: Losses): Part[] {
  const source = sourceOf(block)
  if (citesIts(block)) lost.add('citations')
  const filename = block.title ?? undefined
  const file = (data: string): Part[] => [
    ...aboutOf({ context: block.context }),
    { type: 'file', file: { file_data: data, ...(filename !== undefined && { filename }) } },
  ]
  if (source?.type === 'base64') return file(dataUrl(source))
  if (source?.type === 'url') return file(source.url ?? '')
  if (source?.type === 'text') return [...aboutOf(block), { type: 'text', text: source.data ?? '' }]
  if (source?.type === 'content') return [...aboutOf(block), ...partsOf(blocksIn(source.content), lost)]
  return storedFile(block, lost)
}

/** A file that a vendor keeps; whether the name means anything to it is for the target to say. */
function storedFile(block: Block, lost: Losses): Part[] {
  const id = sourceOf(block)?.file_id
  if (typeof id === 'string') return [{ type: 'file', file: { file_id: id } }]
  lost.add(`${block.type}.source`)
  return []
}

function searchResult(block: Block, lost: Losses): Part[] {
  if (citesIts(block)) lost.add('citations')
  const about = aboutOf({ title: block.title, context: typeof block.source === 'string' ? block.source : undefined })
  return [...about, ...partsOf(blocksIn(block.content), lost)]
}

const citesIts = ({ citations }: Block): boolean =>
  typeof citations === 'object' && citations !== null && 'enabled' in citations && citations.enabled === true

/** What a document's own text does not say: its title, and what its sender says about it. */
function aboutOf({ title, context }: Pick<Block, 'title' | 'context'>): Part[] {
  const lines = [title, context].filter((line) => typeof line === 'string' && line !== '')
  return lines.length === 0 ? [] : [{ type: 'text', text: lines.join('\n') }]
}

/** Blocks within a block. The schema has seen to their types where it matters. */
export function blocksIn(content: unknown): Block[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }]
  return Array.isArray(content) ? content.filter(isBlock) : []
}

const isBlock = (value: unknown): value is Block =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'

/** The shortest form of the same content: text alone is a string. */
export function contentOf(parts: readonly Part[]): string | Part[] {
  const [first] = parts
  if (!first) return ''
  const isText = parts.length === 1 && first.type === 'text' && !first.cache_control
  return isText && typeof first.text === 'string' ? first.text : [...parts]
}

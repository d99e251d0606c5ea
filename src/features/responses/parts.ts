import type { Item, Part } from './items-schema.ts'

/** A content part as chat completions know it. */
export type ChatPart = { type: string; [field: string]: unknown }

/** Content as chat completions know it: text alone is a string. */
export function chatContent(content: Item['content']): string | ChatPart[] {
  if (typeof content === 'string') return content
  const parts = (content ?? []).map(chatPart)
  const [first] = parts
  if (!first) return ''
  const isText = parts.length === 1 && first.type === 'text' && !first.cache_control
  return isText && typeof first.text === 'string' ? first.text : parts
}

/** A part in the words of chat completions, with its mark for a cache where it has one. */
export function chatPart(part: Part): ChatPart {
  const { cache_control: mark } = part
  return { ...translated(part), ...(mark !== undefined && { cache_control: mark }) }
}

function translated({ type, text, refusal, input_audio, ...part }: Part): ChatPart {
  switch (type) {
    case 'input_image':
      return part.image_url ? imagePart(part.image_url, part.detail) : { type: 'file', file: { file_id: part.file_id } }
    case 'input_file':
      return { type: 'file', file: fileOf(part) }
    case 'input_audio':
      return { type, input_audio }
    case 'refusal':
      return { type, refusal }
    default:
      return { type: 'text', text: text ?? '' }
  }
}

const imagePart = (url: string, detail: string | null | undefined): ChatPart => ({
  type: 'image_url',
  image_url: { url, ...(typeof detail === 'string' && { detail }) },
})

function fileOf({
  file_id,
  file_data,
  file_url,
  filename,
}: Pick<Part, 'file_id' | 'file_data' | 'file_url' | 'filename'>) {
  // Adapters take a file's address where its data would be.
  const data = file_data ?? file_url
  return {
    ...(data && { file_data: data }),
    ...(filename && { filename }),
    ...(!data && file_id && { file_id }),
  }
}

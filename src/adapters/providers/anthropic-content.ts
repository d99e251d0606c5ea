import { isObject, type JsonObject, stringOf } from './json-shape.ts'
import { inexpressible } from './neutral.ts'

/** A block of content, as Anthropic's wire writes it. */
export type Block = JsonObject

const IMAGE_TYPES: ReadonlySet<string> = new Set(['image/jpeg', 'image/png', 'image/gif', 'image/webp'])
/** `%PDF-` in base64. */
const PDF_START = 'JVBERi'

/** Where a part stands in the caller's request, and where what is lost of it gets noted. */
export type Place = { path: string; ignored: Set<string> }

/**
 * The blocks of a message's content: text, images and files. Text without a visible character is left out, because
 * the vendor refuses it. Throws `inexpressible` for what has no form in this wire.
 */
export function blocksOf(content: unknown, { path, ignored }: Place): Block[] {
  if (typeof content === 'string') return textBlocks(content)
  if (!Array.isArray(content)) return []
  return content.flatMap((part, position) => blocksOfPart(part, { path: `${path}.content[${position}]`, ignored }))
}

function blocksOfPart(part: unknown, place: Place): Block[] {
  if (typeof part === 'string') return textBlocks(part)
  if (!isObject(part)) return lost(place)
  const blocks = translated(part, place)
  return blocks.map((block) => ({ ...block, ...cacheControlOf(part) }))
}

function translated(part: JsonObject, place: Place): Block[] {
  const text = stringOf(part.text) ?? stringOf(part.refusal)
  if (text !== undefined) return textBlocks(text)
  if (part.type === 'image_url') return [imageOf(part.image_url, place)]
  if (part.type === 'file' && isObject(part.file)) return [fileOf(part.file, place)]
  return lost(place)
}

function lost({ path, ignored }: Place): Block[] {
  ignored.add(path)
  return []
}

const textBlocks = (text: string): Block[] => (text.trim() === '' ? [] : [{ type: 'text', text }])

/** `cache_control` of a part, message or tool, reduced to what the vendor knows; empty where there is none. */
export function cacheControlOf({ cache_control: control }: JsonObject): { cache_control?: JsonObject } {
  if (!isObject(control) || control.type !== 'ephemeral') return {}
  const { ttl } = control
  return { cache_control: { type: 'ephemeral', ...(ttl === '5m' || ttl === '1h' ? { ttl } : {}) } }
}

function imageOf(image: unknown, { path, ignored }: Place): Block {
  const url = isObject(image) ? stringOf(image.url) : stringOf(image)
  const here = `${path}.image_url`
  if (isObject(image) && (image.detail === 'low' || image.detail === 'high')) ignored.add(`${here}.detail`)
  if (url !== undefined && isHttps(url)) return { type: 'image', source: { type: 'url', url } }
  const data = url === undefined ? undefined : dataUrl(url)
  if (data === undefined) throw inexpressible('An image must be an https URL or a base64 data URL.', here)
  if (!IMAGE_TYPES.has(data.mediaType)) {
    throw inexpressible('An image must be of the type JPEG, PNG, GIF or WebP.', here)
  }
  return base64Block('image', data)
}

/** PDFs by address or bytes, text, and images that came as files. */
function fileOf(file: JsonObject, { path }: Place): Block {
  const given = stringOf(file.file_data)
  if (given === undefined) {
    throw inexpressible('This vendor takes the bytes or the URL of a file, not its id.', `${path}.file`)
  }
  const name = stringOf(file.filename)
  const title = name === undefined ? {} : { title: name }
  if (isHttps(given)) return { type: 'document', source: { type: 'url', url: given }, ...title }
  const data = dataUrl(given) ?? { mediaType: guessedType(given, name), base64: given }
  if (IMAGE_TYPES.has(data.mediaType)) return base64Block('image', data)
  if (data.mediaType === 'application/pdf') return { ...base64Block('document', data), ...title }
  const text = data.mediaType.startsWith('text/') ? textOfBase64(data.base64) : undefined
  if (text !== undefined)
    return { type: 'document', source: { type: 'text', media_type: 'text/plain', data: text }, ...title }
  throw inexpressible('A file must be a PDF, text or an image.', `${path}.file.file_data`)
}

const isHttps = (url: string): boolean => /^https:\/\//i.test(url)

type Data = { mediaType: string; base64: string }

function dataUrl(url: string): Data | undefined {
  const comma = url.indexOf(',')
  const [scheme = '', ...options] = comma < 0 ? [] : url.slice(0, comma).toLowerCase().split(';')
  if (!scheme.startsWith('data:') || options.at(-1) !== 'base64') return undefined
  const mediaType = scheme.slice('data:'.length).trim()
  return { mediaType: mediaType === 'image/jpg' ? 'image/jpeg' : mediaType, base64: url.slice(comma + 1) }
}

function guessedType(base64: string, name: string | undefined): string {
  if (base64.startsWith(PDF_START) || /\.pdf$/i.test(name ?? '')) return 'application/pdf'
  return /\.(txt|md|csv|json|xml|html?|ya?ml|log)$/i.test(name ?? '') ? 'text/plain' : ''
}

const base64Block = (type: 'image' | 'document', { mediaType, base64 }: Data): Block => ({
  type,
  source: { type: 'base64', media_type: mediaType, data: base64 },
})

/** Undefined when it is no base64, or no UTF-8. */
function textOfBase64(base64: string): string | undefined {
  try {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes)
  } catch {
    return undefined
  }
}

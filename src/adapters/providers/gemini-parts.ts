import { isObject, type JsonObject, stringOf } from './json-shape.ts'
import { inexpressible } from './neutral.ts'

/** An image that must be fetched before the request can be sent; `blob` is filled in place. */
export type RemoteImage = { url: string; path: string; blob: JsonObject }

/** What a translation gathers on its way. */
export type Findings = {
  /** Fields that have no place in this wire. */
  ignored: Set<string>
  images: RemoteImage[]
}

/**
 * A message's content as Gemini's parts. `path` names it in errors: `messages[3].content`.
 * Throws `UpstreamError('status', 400)` for media that cannot be read; anything unknown is added to `ignored`.
 */
export function partsOf(content: unknown, path: string, findings: Findings): JsonObject[] {
  if (!Array.isArray(content)) return textParts(stringOf(content))
  return content.flatMap((part: unknown, position) => {
    const here = `${path}[${position}]`
    const parts = partOf(part, here, findings)
    if (parts === undefined) findings.ignored.add(here)
    return parts ?? []
  })
}

const textParts = (text: string | undefined): JsonObject[] => (text ? [{ text }] : [])

function partOf(part: unknown, path: string, findings: Findings): JsonObject[] | undefined {
  if (!isObject(part)) return typeof part === 'string' ? textParts(part) : undefined
  const text = stringOf(part.text) ?? stringOf(part.refusal)
  if (text !== undefined) return textParts(text)
  if (part.type === 'image_url') return [imagePart(part.image_url, `${path}.image_url`, findings)]
  if (part.type === 'file' && isObject(part.file)) return [{ inlineData: fileBlob(part.file, `${path}.file`) }]
  const audio = part.type === 'input_audio' && isObject(part.input_audio) ? audioBlob(part.input_audio) : undefined
  return audio === undefined ? undefined : [{ inlineData: audio }]
}

/** `image_url` of a part: the bytes of a data URL, or a place that is filled once the address was fetched. */
export function imagePart(image: unknown, path: string, { images }: Findings): JsonObject {
  const url = (stringOf(isObject(image) ? image.url : image) ?? '').trim()
  const data = dataUrl(url)
  if (data !== undefined) return { inlineData: data }
  if (!/^https?:\/\//i.test(url)) {
    throw inexpressible('This is neither an https address of an image nor a base64 data URL.', path)
  }
  const blob: JsonObject = {}
  images.push({ url, path, blob })
  return { inlineData: blob }
}

/** RFC 2397, base64 only; undefined for anything else. */
function dataUrl(url: string): { mimeType: string; data: string } | undefined {
  const comma = url.indexOf(',')
  const head = /^data:([^;,]*)(?:;[^;,]*)*;base64$/i.exec(comma < 0 ? '' : url.slice(0, comma))
  if (head === null) return undefined
  const mimeType = (head[1] || 'text/plain').toLowerCase()
  return { mimeType: mimeType === 'image/jpg' ? 'image/jpeg' : mimeType, data: url.slice(comma + 1) }
}

/** From ai.google.dev/gemini-api/docs/audio. */
const audioTypes: Readonly<Record<string, string>> = {
  wav: 'audio/wav',
  mp3: 'audio/mp3',
  aiff: 'audio/aiff',
  aac: 'audio/aac',
  ogg: 'audio/ogg',
  flac: 'audio/flac',
}

function audioBlob({ data, format }: JsonObject): JsonObject | undefined {
  const mimeType = Object.hasOwn(audioTypes, String(format)) ? audioTypes[String(format)] : undefined
  const text = stringOf(data)
  return mimeType === undefined || text === undefined ? undefined : { mimeType, data: text }
}

const fileTypes: Readonly<Record<string, string>> = {
  pdf: 'application/pdf',
  txt: 'text/plain',
  md: 'text/md',
  csv: 'text/csv',
  html: 'text/html',
  xml: 'text/xml',
  json: 'application/json',
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  wav: 'audio/wav',
  mp3: 'audio/mp3',
  mp4: 'video/mp4',
  mov: 'video/mov',
  webm: 'video/webm',
}

/** What base64 of `%PDF-` begins with. */
const PDF_START = 'JVBERi'

function fileBlob(file: JsonObject, path: string): JsonObject {
  const given = stringOf(file.file_data)
  if (!given) throw inexpressible('This model takes files by their data, not by an id or an address.', path)
  const data = dataUrl(given)
  if (data !== undefined && data.mimeType !== 'application/octet-stream') return data
  const bytes = data?.data ?? given
  const extension = /\.(\w+)$/.exec(stringOf(file.filename) ?? '')?.[1]?.toLowerCase() ?? ''
  const byName = Object.hasOwn(fileTypes, extension) ? fileTypes[extension] : undefined
  const mimeType = bytes.startsWith(PDF_START) ? 'application/pdf' : byName
  if (mimeType !== undefined && /^[\w+/=\s-]+$/.test(bytes.slice(0, 64))) return { mimeType, data: bytes }
  throw inexpressible('What kind of file this is can be told neither by its data nor by its name.', `${path}.file_data`)
}

import { AppError } from '../core/errors.ts'

/** A part's headers by their names in lower case. */
export type PartHeaders = ReadonlyMap<string, string>

const MAX_FILENAME_CHARS = 255
/** A form tells a part's name and its file's: each further one is looked for to the end of the header. */
const MAX_PARAMETERS = 16

export const malformed = (why: string) =>
  new AppError('invalid_request', `The body is not valid multipart/form-data: ${why}.`)

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The headers of one part, whose block ends with an empty line. Throws 400 for what is none. */
export function headersOf(block: Uint8Array): PartHeaders {
  const headers = new Map<string, string>()
  for (const line of textOf(block).split('\r\n')) {
    if (line === '') continue
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon))
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) throw malformed("a part's header is none")
    headers.set(name.toLowerCase(), line.slice(colon + 1).trim())
  }
  return headers
}

function textOf(block: Uint8Array): string {
  try {
    return utf8.decode(block)
  } catch {
    throw malformed("a part's headers are not UTF-8")
  }
}

/**
 * A quoted value ends with the quote that ends its parameter: some senders escape quotes, others mean a backslash by a
 * backslash, and a path of Windows is full of them.
 */
const PARAMETER = /;\s*([\w*]+)\s*=\s*(?:"(.*?)"(?=\s*(?:;|$))|([^\s;"]*))/g

/**
 * What a part is called, and the file that it is of. Browsers write quotes and line breaks as `%22`, `%0D` and `%0A`;
 * `filename*` (RFC 8187) counts where there is no plain name. Throws 400 for a part that is not of a form.
 */
export function dispositionOf(headers: PartHeaders): { name: string | undefined; filename: string | undefined } {
  const disposition = headers.get('content-disposition') ?? ''
  if (!/^form-data\s*(?:;|$)/i.test(disposition)) throw malformed('a part has no content-disposition: form-data')
  const found = new Map<string, string>()
  let parameters = 0
  for (const [, key = '', quoted, plain = ''] of disposition.matchAll(PARAMETER)) {
    found.set(key.toLowerCase(), quoted === undefined ? plain : unquoted(quoted))
    if (++parameters > MAX_PARAMETERS) throw malformed(`a part has more than ${MAX_PARAMETERS} parameters`)
  }
  return { name: found.get('name'), filename: found.get('filename') ?? extendedOf(found.get('filename*')) }
}

const ESCAPES: Readonly<Record<string, string>> = { '%22': '"', '%0d': '\r', '%0a': '\n', '\\"': '"' }
const unquoted = (text: string) => text.replace(/%22|%0d|%0a|\\"/gi, (mark) => ESCAPES[mark.toLowerCase()] ?? mark)

function extendedOf(value: string | undefined): string | undefined {
  const [, encoded] = /^utf-8'[^']*'(.*)$/i.exec(value ?? '') ?? []
  try {
    return encoded && decodeURIComponent(encoded)
  } catch {
    return undefined
  }
}

/** A file's name as it may be stored: no path, no control characters, at most 255 characters; undefined for none. */
export function storedName(sent: string): string | undefined {
  const last = sent.split(/[/\\]/).at(-1) ?? ''
  const name = last.replace(/\p{Cc}/gu, '').trim()
  const short = name.length > MAX_FILENAME_CHARS ? name.slice(-MAX_FILENAME_CHARS) : name
  return short === '' || /^\.+$/.test(short) ? undefined : short.toWellFormed()
}

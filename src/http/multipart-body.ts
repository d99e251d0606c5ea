import { AppError } from '../core/errors.ts'
import { JSON_TYPE, MAX_BODY_BYTES, readJson, readWhole, refuseEncoded, tooLarge, wrongType } from './body.ts'
import type { FilePart } from './multipart.ts'
import { dispositionOf, headersOf, malformed, type PartHeaders, storedName } from './part-headers.ts'

export const MAX_PARTS = 200
export const MAX_TEXT_FIELD_BYTES = 1024 * 1024
const MAX_PART_HEADER_BYTES = 4 * 1024
const MAX_NAME_CHARS = 200
/** A sender picks a boundary that its content does not hold: more than a few that only look like it are an attack. */
const MAX_LOOKALIKES = 1000

type Value = string | FilePart
/** Each name once: a value, or an array of them when it was given more often or ends in `[]`. */
export type MultipartFields = Record<string, Value | Value[]>

const MULTIPART_TYPE = /^multipart\/form-data\s*(?:;|$)/i
const BOUNDARY = /;\s*boundary\s*=\s*(?:"([^"]*)"|([^\s;"]+))/i
/** RFC 2046, 5.1.1. */
const BOUNDARY_CHARACTERS = /^[\w'()+,\-./:=? ]{0,69}[\w'()+,\-./:=?]$/

function boundaryOf(request: Request): string {
  const [, quoted, plain] = BOUNDARY.exec(request.headers.get('content-type') ?? '') ?? []
  const boundary = quoted ?? plain ?? ''
  if (BOUNDARY_CHARACTERS.test(boundary)) return boundary
  throw malformed('content-type names no usable boundary')
}

/** What a body may hold beside its files: fields, headers, boundaries. */
const EXTRA_BYTES = 2 * 1024 * 1024

/** Files in JSON are base64, a third longer. */
const maxJsonBytes = (maxFileBytes: number) => Math.max(MAX_BODY_BYTES, Math.ceil((maxFileBytes * 4) / 3) + EXTRA_BYTES)

function checkType(request: Request): void {
  const type = request.headers.get('content-type') ?? ''
  if (MULTIPART_TYPE.test(type)) return
  throw wrongType('Send the body as multipart/form-data or as application/json in UTF-8.')
}

/**
 * The body of a route that takes files: parsed JSON, or the fields of a form by name. `maxBytes` bounds the files
 * together; text fields may have 1 MB each. Throws 415 for another media type or a compressed body, 413 above a limit,
 * and 400 when the body is missing, malformed or has more than 200 parts.
 */
export async function readMultipart(request: Request, maxBytes: number): Promise<unknown> {
  if (JSON_TYPE.test(request.headers.get('content-type') ?? '')) return readJson(request, maxJsonBytes(maxBytes))
  const body = await readWhole(request, checkType, maxBytes + EXTRA_BYTES)
  try {
    return fieldsOf(body, boundaryOf(request), maxBytes)
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid_request') refuseEncoded(request)
    throw error
  }
}

/** The fields of a form by name, from its bytes (RFC 7578). */
export function fieldsOf(body: Uint8Array, boundary: string, maxBytes: number): MultipartFields {
  const fields: MultipartFields = Object.create(null)
  let fileBytes = 0
  for (const { headers, content } of partsOf(body, boundary)) {
    const { name, filename } = dispositionOf(headers)
    if (name === undefined) throw malformed('a part has no name')
    if (name.length > MAX_NAME_CHARS) throw malformed(`a name has more than ${MAX_NAME_CHARS} characters`)
    // What a form sends for a file that nobody chose.
    if (filename === '' && content.byteLength === 0) continue
    const isFile = filename !== undefined || isBinary(headers)
    if (isFile) fileBytes += content.byteLength
    if (fileBytes > maxBytes) throw tooLarge(maxBytes)
    add(fields, name, isFile ? filePart(filename, headers, content) : textOf(name, content))
  }
  return fields
}

function add(fields: MultipartFields, sent: string, value: Value): void {
  const isList = sent.endsWith('[]')
  const name = isList ? sent.slice(0, -2) : sent
  const before = fields[name]
  if (before === undefined) fields[name] = isList ? [value] : value
  else if (Array.isArray(before)) before.push(value)
  else fields[name] = [before, value]
}

const isBinary = (headers: PartHeaders): boolean =>
  /^(?:(?:image|audio|video)\/|application\/octet-stream)/i.test(headers.get('content-type') ?? '')

const DECLARED_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;[\x20-\x7e]*)?$/

function filePart(filename: string | undefined, headers: PartHeaders, bytes: Uint8Array): FilePart {
  const type = headers.get('content-type')
  const isUsable = type !== undefined && type.length <= 255 && DECLARED_TYPE.test(type)
  return {
    filename: filename === undefined ? undefined : storedName(filename),
    type: isUsable ? type : undefined,
    bytes,
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(name: string, content: Uint8Array): string {
  if (content.byteLength > MAX_TEXT_FIELD_BYTES) {
    throw new AppError('payload_too_large', 'A text field is larger than 1 MB, the most that is taken.')
  }
  try {
    return utf8.decode(content)
  } catch (cause) {
    const message = `The field ${JSON.stringify(name)} is not valid UTF-8.`
    throw new AppError('invalid_request', message, { cause })
  }
}

type Part = { headers: PartHeaders; content: Uint8Array }

const CR = 13
const LF = 10
const DASH = 45

/**
 * The parts of a body between its boundaries, as views of it. What stands before the first and after the last boundary
 * is nobody's (RFC 2046).
 */
function* partsOf(body: Uint8Array, boundary: string): Generator<Part> {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1')
  let line = firstLine(bytes, delimiter)
  for (let parts = 1; !line.isLast; parts++) {
    if (parts > MAX_PARTS) throw malformed(`it has more than ${MAX_PARTS} parts`)
    const start = headEnd(bytes, line.end)
    const next = nextLine(bytes, delimiter, start)
    const headers = headersOf(bytes.subarray(line.end, start))
    const encoding = headers.get('content-transfer-encoding')
    if (encoding !== undefined && !/^(?:7bit|8bit|binary)$/i.test(encoding)) {
      throw malformed('a part has a content-transfer-encoding, which no form has')
    }
    // The line break before a boundary may be the one that ends the headers, where there is no content.
    yield { headers, content: body.subarray(start, Math.max(start, next.start)) }
    line = next
  }
}

/** A line of its own that ends a part: where its line break begins, and where what follows it begins. */
type BoundaryLine = { start: number; end: number; isLast: boolean }

function firstLine(bytes: Buffer, delimiter: Buffer): BoundaryLine {
  const opening = delimiter.subarray(2)
  const isFirst = bytes.subarray(0, opening.length).equals(opening)
  const line = isFirst ? lineAt(bytes, 0, opening.length) : undefined
  const found = line ?? findLine(bytes, delimiter, 0)
  if (found === undefined) throw malformed('the boundary of its content-type is not in it')
  return found
}

function nextLine(bytes: Buffer, delimiter: Buffer, start: number): BoundaryLine {
  const found = findLine(bytes, delimiter, start - 2)
  if (found === undefined) throw malformed('it ends inside a part')
  return found
}

function findLine(bytes: Buffer, delimiter: Buffer, from: number): BoundaryLine | undefined {
  let at = bytes.indexOf(delimiter, from)
  for (let seen = 0; at !== -1 && seen < MAX_LOOKALIKES; seen++) {
    const line = lineAt(bytes, at, at + delimiter.length)
    if (line !== undefined) return line
    at = bytes.indexOf(delimiter, at + 1)
  }
  return undefined
}

/** The boundary that ends at `end` when it is one: two dashes or, after blanks, a line break follow. */
function lineAt(bytes: Buffer, start: number, end: number): BoundaryLine | undefined {
  if (bytes[end] === DASH && bytes[end + 1] === DASH) return { start, end: end + 2, isLast: true }
  let at = end
  while (bytes[at] === 32 || bytes[at] === 9) at++
  return bytes[at] === CR && bytes[at + 1] === LF ? { start, end: at + 2, isLast: false } : undefined
}

/** Where a part's content begins. */
function headEnd(bytes: Buffer, from: number): number {
  if (bytes[from] === CR && bytes[from + 1] === LF) return from + 2
  const at = bytes.subarray(from, from + MAX_PART_HEADER_BYTES).indexOf('\r\n\r\n', 0, 'latin1')
  if (at === -1) throw malformed("a part's headers do not end")
  return from + at + 4
}

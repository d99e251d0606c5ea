import { AppError } from '../core/errors.ts'
import { hasMoreCommasThan, isDeeperThan } from './json-depth.ts'
import { findJsonFault } from './json-fault.ts'

export const MAX_BODY_BYTES = 10 * 1024 * 1024
/** From somebody who may be anybody: what is read of them is read before any limit knows them. */
export const MAX_PUBLIC_BODY_BYTES = 64 * 1024
export const MAX_JSON_DEPTH = 64
/** The longest input of embeddings has 300 000 tokens; millions of values fill an isolate's memory. */
export const MAX_JSON_VALUES = 400_000

export const JSON_TYPE = /^application\/json\s*(?:;\s*charset="?utf-8"?\s*)?$/i

const MEGABYTE = 1024 * 1024

export const tooLarge = (maxBytes: number) => {
  const most = maxBytes < MEGABYTE ? `${maxBytes / 1024} KB` : `${Math.floor(maxBytes / MEGABYTE)} MB`
  return new AppError('payload_too_large', `The body is larger than ${most}, the most that is taken.`)
}

const emptyBody = () => new AppError('invalid_request', 'A body is required.')

const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(?:;\s*charset="?utf-8"?\s*)?$/i

/** 415, naming the header that says so. */
export const wrongType = (detail: string, header: 'content-type' | 'content-encoding' = 'content-type') =>
  new AppError('unsupported_media_type', detail, { fields: [{ pointer: header, detail }] })

function checkType(request: Request): void {
  const type = request.headers.get('content-type')
  if (type === 'application/json') return
  if (type === null) throw wrongType('Send the body with content-type: application/json.')
  if (!JSON_TYPE.test(type)) throw wrongType('The body must be application/json in UTF-8.')
}

/** Whether the headers alone say that nothing comes with a request. */
export function isBodyless(request: Request): boolean {
  const declared = request.headers.get('content-length')
  return declared === '0' || (declared === null && request.body === null)
}

/** Reads until the end or the limit, whichever comes first; nothing past the limit is kept. */
async function readChunks(stream: ReadableStream<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const reader = stream.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.byteLength
    if (length > maxBytes) {
      // Nobody waits for the sender to hear of it.
      reader.cancel().catch(() => undefined)
      throw tooLarge(maxBytes)
    }
    chunks.push(value)
  }
  const [only] = chunks
  if (only !== undefined && chunks.length === 1) return only
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.byteLength
  }
  return bytes
}

async function readBytes(request: Request, declared: string | null, maxBytes: number): Promise<Uint8Array> {
  try {
    // HTTP itself holds a sender to the length it declared, so only an undeclared one must be counted. Looking at
    // `body` makes a stream of it, which costs more than everything else that is done here to a short body.
    if (declared !== null) return new Uint8Array(await request.arrayBuffer())
    return request.body === null ? new Uint8Array() : await readChunks(request.body, maxBytes)
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    throw new AppError('invalid_request', 'The body ended before it was complete.', { cause })
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })

function decode(bytes: Uint8Array, request: Request): string {
  try {
    return utf8.decode(bytes)
  } catch (cause) {
    refuseEncoded(request)
    throw new AppError('invalid_request', 'The body is not valid UTF-8.', { cause })
  }
}

// Looked at only when the body made no sense: a request that is plain JSON does not pay for the question.
export function refuseEncoded(request: Request): void {
  const encoding = request.headers.get('content-encoding')
  if (encoding !== null && encoding.toLowerCase() !== 'identity') {
    throw wrongType('Compressed bodies are not taken: send it without content-encoding.', 'content-encoding')
  }
}

function syntaxError(text: string, cause: unknown): AppError {
  const at = findJsonFault(text) ?? text.length
  const before = text.slice(0, at)
  const line = before.split('\n').length
  const column = at - before.lastIndexOf('\n')
  const found = at >= text.length ? 'the body ends too early' : 'unexpected character'
  return new AppError(
    'invalid_request',
    `The body is not valid JSON: ${found} at position ${at} (line ${line}, column ${column}).`,
    { cause },
  )
}

/**
 * The JSON body of a request, parsed once. Throws 415 for another media type, 413 above the limit, and 400 when the body
 * is missing, not UTF-8, nested deeper than 64, of too many values, or not JSON.
 */
export async function readJson(request: Request, maxBytes = MAX_BODY_BYTES): Promise<unknown> {
  const text = await readText(request, checkType, maxBytes)
  if (isDeeperThan(text, MAX_JSON_DEPTH)) {
    throw new AppError('invalid_request', `The body nests deeper than ${MAX_JSON_DEPTH} levels.`)
  }
  if (hasMoreCommasThan(text, MAX_JSON_VALUES)) {
    throw new AppError('invalid_request', `The body has more than ${MAX_JSON_VALUES} values.`)
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    refuseEncoded(request)
    throw syntaxError(text, cause)
  }
}

/**
 * The fields of a form by name. Throws 415 for another media type, 413 above the limit, and 400 when the body is missing
 * or not UTF-8.
 */
export async function readForm(
  request: Request,
  maxBytes = MAX_BODY_BYTES,
): Promise<Record<string, string | string[]>> {
  return byName(await readText(request, checkFormType, maxBytes))
}

/** Each name once: a string, or an array of strings when it was given more often. */
export function byName(encoded: string): Record<string, string | string[]> {
  const values: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of new URLSearchParams(encoded)) {
    const before = values[name]
    values[name] = before === undefined ? value : [before, value].flat()
  }
  return values
}

function checkFormType(request: Request): void {
  if (FORM_TYPE.test(request.headers.get('content-type') ?? '')) return
  throw wrongType('The body must be application/x-www-form-urlencoded.')
}

async function readText(request: Request, check: (request: Request) => void, maxBytes: number): Promise<string> {
  const text = decode(await readWhole(request, check, maxBytes), request)
  if (text.length === 0) throw emptyBody()
  return text
}

type Check = (request: Request) => void

/** What was sent. Throws 400 when that is nothing, 413 above the limit, by the declared length before anything is read. */
export async function readWhole(request: Request, check: Check, maxBytes: number): Promise<Uint8Array> {
  const declared = request.headers.get('content-length')
  if (isBodyless(request)) throw emptyBody()
  check(request)
  if (Number(declared) > maxBytes) throw tooLarge(maxBytes)
  return readBytes(request, declared, maxBytes)
}

import type { VendorError } from '../../core/models.ts'
import { isObject, type JsonObject, parseJson } from './json-shape.ts'

const MESSAGE_MAX_CHARS = 2000
const DAY_MS = 86_400_000

/**
 * A vendor's error in OpenAI's shape, out of whatever it sent: `{error:{…}}`, `{error:"…"}`, `{message}`, `{detail}`,
 * `{errors:[…]}`, an array around one of them (Gemini), or plain text. Undefined when there is nothing to quote, as
 * in a proxy's HTML page.
 */
export function vendorErrorOf(body: unknown): VendorError | undefined {
  if (Array.isArray(body)) return vendorErrorOf(body[0])
  if (typeof body === 'string') return fromText(body)
  if (!isObject(body)) return undefined
  const inner = firstPresent(body, ['error', 'errors'])
  if (isObject(inner)) return fromObject(inner)
  if (Array.isArray(inner)) return vendorErrorOf(inner[0])
  if (typeof inner === 'string') return { message: shortened(inner), ...labelsOf(body) }
  return fromObject(body)
}

function fromText(text: string): VendorError | undefined {
  const trimmed = text.trim()
  if (trimmed === '' || trimmed.startsWith('<')) return undefined
  const parsed = parseJson(trimmed)
  if (parsed === undefined) return fromObject({ message: trimmed })
  return typeof parsed === 'string' ? fromObject({ message: parsed }) : vendorErrorOf(parsed)
}

function fromObject(object: JsonObject): VendorError | undefined {
  const told = firstPresent(object, ['message', 'detail', 'msg', 'error'])
  if (told === undefined) return undefined
  return { message: shortened(typeof told === 'string' ? told : wordsOf(told)), ...labelsOf(object) }
}

/** FastAPI's `detail: [{loc, msg}]` reads better as sentences; anything else is quoted as it came. */
function wordsOf(told: unknown): string {
  const list = isObject(told) && Array.isArray(told.detail) ? told.detail : told
  if (Array.isArray(list) && list.length > 0 && list.every((item) => isObject(item) && typeof item.msg === 'string')) {
    return list.map((item) => (Array.isArray(item.loc) ? `${item.loc.join('.')}: ${item.msg}` : item.msg)).join('; ')
  }
  return JSON.stringify(told)
}

function labelsOf(object: JsonObject): Omit<VendorError, 'message'> {
  return { type: labelOf(object.type ?? object.status), param: labelOf(object.param), code: labelOf(object.code) }
}

const labelOf = (value: unknown): string | null =>
  typeof value === 'string' ? shortened(value) : typeof value === 'number' ? String(value) : null

const firstPresent = (object: JsonObject, names: readonly string[]): unknown =>
  names.map((name) => object[name]).find((value) => value !== undefined && value !== null)

const shortened = (text: string) => (text.length > MESSAGE_MAX_CHARS ? `${text.slice(0, MESSAGE_MAX_CHARS)}…` : text)

/**
 * How long the vendor asks us to wait: `retry-after-ms` (OpenAI), else `retry-after` in seconds or as a date (RFC 9110
 * §10.2.3). At most a day; a date in the past is 0.
 */
export function retryAfterMs(headers: Headers, nowMs: number): number | undefined {
  const milliseconds = numberIn(headers.get('retry-after-ms'))
  if (milliseconds !== undefined) return bounded(milliseconds)
  const value = headers.get('retry-after')
  const seconds = numberIn(value)
  if (seconds !== undefined) return bounded(seconds * 1000)
  const date = value === null ? Number.NaN : Date.parse(value)
  return Number.isNaN(date) ? undefined : bounded(date - nowMs)
}

function numberIn(header: string | null): number | undefined {
  return header !== null && /^\s*\d+(\.\d+)?\s*$/.test(header) ? Number(header) : undefined
}

const bounded = (waitMs: number) => Math.min(Math.max(0, Math.ceil(waitMs)), DAY_MS)

import * as z from 'zod'
import { MAX_JSON_DEPTH, MAX_JSON_VALUES } from './body.ts'
import { hasMoreCommasThan, isDeeperThan } from './json-depth.ts'
import { findUnstorable } from './storable.ts'

/** A file of a multipart body. Its bytes are a view of the body, which is held once. */
export type FilePart = {
  /** The last segment of the name that was sent, without control characters, at most 255 characters. */
  filename: string | undefined
  /** The media type as the sender declared it, which is a claim and no more. */
  type: string | undefined
  bytes: Uint8Array
}

export function isFilePart(value: unknown): value is FilePart {
  return typeof value === 'object' && value !== null && 'bytes' in value && value.bytes instanceof Uint8Array
}

/** Less is not worth it, and may be a part of memory that others use. */
const WORTH_RELEASING_BYTES = 1024 * 1024

/**
 * Gives back the memory of large files that are not needed any more, and with it that of the whole body that they came
 * in: none of its files can be read afterwards. A large picture is then not held beside what is sent of it.
 */
export function releaseFiles(files: readonly FilePart[]): void {
  for (const { bytes } of files) {
    const { buffer } = bytes
    if (buffer instanceof ArrayBuffer && buffer.byteLength >= WORTH_RELEASING_BYTES) buffer.transfer(0)
  }
}

/** One file; a JSON body cannot hold one. */
export const FileField = z.custom<FilePart>(isFilePart, 'expected a file').meta({ type: 'string', format: 'binary' })

/** One file or several under one name, as an array. */
export const FilesField = (most: number) =>
  z.preprocess((value) => (isFilePart(value) ? [value] : value), z.array(FileField).min(1).max(most))

const NUMBER = /^-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/

/** A number, which a form sends as text: `numberField(z.int().min(1)).default(10)`. */
export const numberField = <S extends z.ZodType>(schema: S) =>
  z.preprocess((value) => (typeof value === 'string' && NUMBER.test(value.trim()) ? Number(value) : value), schema)

const WORDS: Readonly<Record<string, boolean>> = {
  true: true,
  '1': true,
  on: true,
  false: false,
  '0': false,
  off: false,
}

/** A boolean, which a form sends as `true`, `1` or `on`, or as their opposites. */
export const booleanField = () =>
  z.preprocess((value) => (typeof value === 'string' ? (WORDS[value.toLowerCase()] ?? value) : value), z.boolean())

/** A value that a form sends as JSON: an object, a list. Bounded as a JSON body is. */
export const jsonField = <S extends z.ZodType>(schema: S) =>
  z.preprocess((value, context) => {
    if (typeof value !== 'string') return value
    const parsed = parsedField(value)
    if (parsed !== undefined) return parsed.value
    context.addIssue({ code: 'custom', message: 'is not JSON that is taken here', input: value })
    return z.NEVER
  }, schema)

/** A list, which a form sends as JSON, as one name several times, or, of one item, as that item. */
export const listField = <S extends z.ZodType>(schema: S) =>
  z.preprocess((value) => {
    if (typeof value !== 'string') return value
    const parsed = value.trimStart().startsWith('[') ? parsedField(value)?.value : undefined
    return Array.isArray(parsed) ? parsed : [value]
  }, schema)

function parsedField(text: string): { value: unknown } | undefined {
  if (isDeeperThan(text, MAX_JSON_DEPTH) || hasMoreCommasThan(text, MAX_JSON_VALUES)) return undefined
  try {
    const value: unknown = JSON.parse(text)
    // What an escape hides in JSON was not seen when the text around it was looked at.
    return findUnstorable(value) === undefined ? { value } : undefined
  } catch {
    return undefined
  }
}

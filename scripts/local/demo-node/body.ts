import * as z from 'zod'
import { httpFailure } from './failures.ts'
import { decodeBase64 } from './media.ts'
import type { Exchange } from './types.ts'

/** A refused body is read to its end (up to this many limits), so that the client gets to see the answer. */
const drainLimits = 4

/** Reads the whole body; 413 above the node's limit. */
export async function readBody(exchange: Exchange): Promise<Buffer> {
  const { request, node } = exchange
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk))
    size += bytes.length
    if (size > node.maxBodyBytes * drainLimits) break
    if (size <= node.maxBodyBytes) chunks.push(bytes)
  }
  if (size > node.maxBodyBytes) throw httpFailure(413, 'http: request body too large', { connection: 'close' })
  return Buffer.concat(chunks)
}

/** What Go's decoder says about a syntax error. */
function syntaxMessage(text: string, error: unknown): string {
  const message = error instanceof Error ? error.message : ''
  if (/end of JSON|Unterminated/.test(message)) return 'unexpected EOF'
  const position = Number(/position (\d+)/.exec(message)?.[1] ?? 0)
  const token = /Unexpected token '(.)'/u.exec(message)?.[1] ?? text.charAt(position)
  return `invalid character '${token}' looking for beginning of value`
}

const goTypes: Readonly<Record<string, string>> = {
  string: 'string',
  number: 'int',
  int: 'int',
  boolean: 'bool',
  array: '[]interface {}',
  object: 'map[string]interface {}',
  record: 'map[string]interface {}',
}

function jsonKind(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  return typeof value === 'boolean' ? 'bool' : typeof value
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value === null ? undefined : Object(value)[key]), root)
}

function mismatch(struct: string, issue: z.core.$ZodIssue, body: unknown): string {
  // A `custom` issue carries a finished sentence from one of the field schemas below.
  if (issue.code === 'custom') return issue.message
  const field = issue.path.filter((key) => typeof key !== 'number').join('.')
  const expected = 'expected' in issue ? String(issue.expected) : 'value'
  const got = jsonKind(valueAt(body, issue.path))
  if (field === '') return `json: cannot unmarshal ${got} into Go value of type ${struct}`
  return `json: cannot unmarshal ${got} into Go struct field ${struct}.${field} of type ${goTypes[expected] ?? expected}`
}

/** Parses JSON text into a request; 400 with a Go-like message otherwise. */
export function parseJson<Schema extends z.ZodType>(text: string, struct: string, schema: Schema): z.output<Schema> {
  if (text.trim() === '') throw httpFailure(400, 'missing request body')
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (error) {
    throw httpFailure(400, syntaxMessage(text, error))
  }
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw httpFailure(400, issue ? mismatch(struct, issue, body) : 'invalid request')
}

export async function readJson<Schema extends z.ZodType>(
  exchange: Exchange,
  struct: string,
  schema: Schema,
): Promise<z.output<Schema>> {
  return parseJson((await readBody(exchange)).toString('utf8'), struct, schema)
}

/** Plain padded base64, decoded. A data URL fails at its colon, as it does in the real decoder. */
export const base64Field = z.string().transform((text, context) => {
  const decoded = decodeBase64(text)
  if (!('illegalAt' in decoded)) return decoded
  context.addIssue({ code: 'custom', message: `illegal base64 data at input byte ${decoded.illegalAt}` })
  return z.NEVER
})

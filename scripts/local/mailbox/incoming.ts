import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import * as z from 'zod'
import { failure } from './failure.ts'

const MAX_BODY_BYTES = 1024 * 1024
/** How much of a refused body is still read, so that the sender sees the answer and not a broken connection. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024
/** https://resend.com/docs/api-reference/emails/send-email */
const MAX_RECIPIENTS = 50
const RECIPIENTS = `must be an address, or a list of 1 to ${MAX_RECIPIENTS} of them`
const MAX_KEY_LENGTH = 256

const text = z.string('must be a text')
const address = z
  .string('must be an address')
  .regex(/^(?:[^<>@\r\n]* ?<[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)$/, 'must be an address or Name <address>')

/** What Resend's `POST /emails` takes, as far as this program sends it; the rest of its fields is ignored. */
const IncomingMail = z.object({
  from: address,
  to: z.union(
    [address.transform((one) => [one]), z.array(address).min(1, RECIPIENTS).max(MAX_RECIPIENTS, RECIPIENTS)],
    RECIPIENTS,
  ),
  subject: text.regex(/^[^\r\n]+$/, 'must be one line that says something'),
  text,
  html: text.optional(),
})
export type IncomingMail = z.infer<typeof IncomingMail>

/** A check of `Authorization: Bearer <token>` whose time says nothing about the token. */
export function createTokenCheck(token: string): (request: IncomingMessage) => void {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const expected = digest(`Bearer ${token}`)
  return ({ headers: { authorization } }) => {
    if (authorization === undefined) {
      throw failure(401, 'missing_api_key', 'The authorization header with the bearer token is missing.')
    }
    if (!timingSafeEqual(digest(authorization), expected)) {
      throw failure(401, 'invalid_api_key', 'The bearer token is not that of this mailbox.')
    }
  }
}

/** @throws MailboxFailure 400 when the header is there and of no use */
export function idempotencyKeyOf({ headers }: IncomingMessage): string | undefined {
  const key = headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key === 'string' && key !== '' && key.length <= MAX_KEY_LENGTH) return key
  throw failure(400, 'invalid_idempotency_key', `Idempotency-Key must have 1 to ${MAX_KEY_LENGTH} characters.`)
}

/** @throws MailboxFailure 413 above the limit, 400 with the name of the first field that is wrong */
export async function readMail(request: IncomingMessage): Promise<IncomingMail> {
  const parsed = IncomingMail.safeParse(parseJson(await readBody(request)), { reportInput: true })
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const field = issue?.path.join('.') ?? ''
  if (issue === undefined || field === '') throw failure(400, 'validation_error', 'The body must be a JSON object.')
  const fault = issue.input === undefined ? 'is missing' : issue.message
  throw failure(400, 'validation_error', `The field ${field} ${fault}.`)
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    throw failure(400, 'validation_error', 'The body is not JSON.')
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let total = 0
  for await (const chunk of request) {
    const bytes: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk))
    total += bytes.length
    if (total > MAX_DISCARDED_BYTES) break
    if (total <= MAX_BODY_BYTES) chunks.push(bytes)
  }
  if (total > MAX_BODY_BYTES) {
    throw failure(413, 'payload_too_large', `The body is larger than ${MAX_BODY_BYTES} bytes.`)
  }
  return Buffer.concat(chunks)
}

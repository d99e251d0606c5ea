import * as z from 'zod'
import { hashPassword } from '../../src/features/passwords/service.ts'
import { depsOver, type Person, type PersonOptions, person } from '../support/people.ts'
import type { Stack } from '../support/stack.ts'

export const PASSWORD = 'a heron over the salt marsh'

export const Pair = z.object({
  access_token: z.string(),
  token_type: z.literal('bearer'),
  expires_in: z.int(),
  refresh_token: z.string(),
  refresh_expires_in: z.int(),
})
export type Pair = z.infer<typeof Pair>

export const Problem = z.object({
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
})

export type Sent = {
  method?: string
  body?: unknown
  form?: Readonly<Record<string, string>>
  token?: string
  ip?: string
}

let addresses = 0

/** An address that no other test uses: limits of one do not reach another. */
export const newAddress = (): string => {
  addresses += 1
  return `2001:db8:${(process.pid & 0xffff).toString(16)}:${addresses.toString(16)}::1`
}

const MAX_TRIES = 100
const LOOK_AGAIN_MS = 250

/** A call of `/api/v1/auth`. One that finds the isolate busy hashing comes again, from elsewhere unless `ip` is given. */
export async function auth(stack: Stack, path: string, sent: Sent = {}): Promise<Response> {
  for (let tries = 1; ; tries++) {
    const response = await fetch(`${stack.url}/api/v1/auth${path}`, initOf(sent))
    const isBusy = response.status === 429 && (await response.clone().text()).includes('being checked right now')
    if (!isBusy || tries === MAX_TRIES) return response
    const waitMs = sent.ip === undefined ? LOOK_AGAIN_MS : 1000 * Number(response.headers.get('retry-after'))
    await new Promise((resolve) => setTimeout(resolve, waitMs))
  }
}

function initOf({ method, body, form, token, ip = newAddress() }: Sent): RequestInit {
  const text = form ? new URLSearchParams(form).toString() : JSON.stringify(body)
  return {
    method: method ?? (text === undefined ? 'GET' : 'POST'),
    headers: {
      'cf-connecting-ip': ip,
      'user-agent': 'a test',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
    },
    ...(text !== undefined && { body: text }),
  }
}

export const problemOf = async (response: Response) => Problem.parse(await response.json())
export const pairOf = async (response: Response): Promise<Pair> => Pair.parse(await response.json())

let hash: Promise<string> | undefined

/** Someone with a session, who can also sign in with `PASSWORD`. */
export async function someone(stack: Stack, options: PersonOptions = {}): Promise<Person> {
  hash ??= hashPassword(depsOver(stack).settings.passwordPepper, PASSWORD)
  const made = await person(stack, options)
  await stack.query('update users set password_hash = $1 where id = $2', [await hash, made.userId])
  return made
}

/** Another session of someone who is signed in, without a password: they switch to an organisation of theirs. */
export async function anotherSession(stack: Stack, token: string, orgId: string, ip = newAddress()): Promise<Pair> {
  return pairOf(await auth(stack, '/switch-org', { body: { org_id: orgId }, token, ip }))
}

/** Also a member of another organisation. */
export async function joins(stack: Stack, userId: string, orgId: string, role = 'member'): Promise<void> {
  await stack.query(
    'insert into memberships (org_id, user_id, role, created_at, updated_at) values ($1, $2, $3, $4, $4)',
    [orgId, userId, role, Math.floor(Date.now() / 1000)],
  )
}

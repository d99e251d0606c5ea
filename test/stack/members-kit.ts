import * as z from 'zod'
import type { Role } from '../../src/core/roles.ts'
import { type Person, person } from '../support/people.ts'
import type { Stack } from '../support/stack.ts'

export type Answer = { status: number; body: Record<string, unknown> }

/** Of these tests alone: what others do from other addresses takes nothing from its limits. */
const ip = '198.51.100.77'

/** `GET /org` and the like with an access token or a key, or without either. */
export async function callApi(
  { url }: Pick<Stack, 'url'>,
  credential: string | undefined,
  { route, body }: { route: string; body?: unknown },
): Promise<Answer> {
  const [method = 'GET', path = ''] = route.split(' ')
  const response = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: {
      'cf-connecting-ip': ip,
      ...(credential !== undefined && { authorization: `Bearer ${credential}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? {} : z.record(z.string(), z.unknown()).parse(JSON.parse(text)) }
}

export const rowsOf = ({ body }: Answer) => z.array(z.looseObject({ id: z.string() })).parse(body.data)

/** Someone else in the same organisation. */
export const fellowOf = (stack: Stack, { orgId }: Person, role: Role) => person(stack, { orgId, role })

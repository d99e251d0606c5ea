import * as z from 'zod'
import { createGateway } from '../../src/app.ts'
import type { Admission } from '../../src/core/admission.ts'
import type { Deps } from '../../src/core/context.ts'
import type { Area, Route } from '../../src/http/route.ts'
import { fakeAdmit, fakeDeps, keptLog } from '../support/fake-deps.ts'

export const KEY = 'hx_test'

type Setup = {
  openai?: readonly Route[]
  problem?: readonly Route[]
  scopes?: readonly string[]
  admission?: Partial<Admission>
  deps?: Partial<Deps>
}

/** A gateway of two areas, `/v1/thing` and `/api/v1/thing`, and one key. */
export function thingGateway({ openai = [], problem = [], scopes = ['tools:write'], admission, deps }: Setup) {
  const { log, lines } = keptLog()
  const { admit, calls } = fakeAdmit({ [KEY]: scopes }, admission)
  const areas: Area[] = [
    { name: 'thing', at: ['/v1/thing'], errors: 'openai', load: async () => ({ routes: openai }) },
    { name: 'platform', at: ['/api/v1/thing', '/'], errors: 'problem', load: async () => ({ routes: problem }) },
  ]
  const gateway = createGateway(areas, fakeDeps({ log, ...deps }), { admit })
  const send = (path: string, init: RequestInit = {}) => {
    const headers = new Headers(init.headers)
    if (!headers.has('authorization')) headers.set('authorization', `Bearer ${KEY}`)
    return gateway(new Request(`http://gateway${path}`, { ...init, headers }))
  }
  const sendJson = (path: string, body: unknown) =>
    send(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  return { gateway, send, sendJson, calls, lines }
}

const Fault = z.looseObject({
  message: z.string(),
  type: z.string(),
  param: z.string().nullable(),
  code: z.string().nullable(),
  retryable: z.literal(true).optional(),
})
const OpenAiError = z.strictObject({ error: Fault })

const Problem = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string(),
  code: z.string(),
  request_id: z.string(),
  errors: z.array(z.strictObject({ pointer: z.string(), detail: z.string() })).optional(),
  retryable: z.literal(true).optional(),
})

/** The error of a response in OpenAI's dialect; throws when it is not one. */
export async function openaiErrorOf(response: Response) {
  if (response.headers.get('content-type') !== 'application/json') throw new Error('not JSON')
  return OpenAiError.parse(await response.json()).error
}

const AnthropicError = z.strictObject({
  type: z.literal('error'),
  error: z.strictObject({ type: z.string(), message: z.string() }),
  request_id: z.string().startsWith('req_'),
})

/** The error of a response in Anthropic's dialect; throws when it is not one. */
export async function anthropicErrorOf(response: Response) {
  if (response.headers.get('content-type') !== 'application/json') throw new Error('not JSON')
  return AnthropicError.parse(await response.json()).error
}

/** The problem of a response; throws when it is not one. */
export async function problemOf(response: Response) {
  if (response.headers.get('content-type') !== 'application/problem+json') throw new Error('not a problem')
  return Problem.parse(await response.json())
}

import { newId } from '../../src/core/ids.ts'
import type { Route } from '../../src/http/route.ts'
import { type Entry, paramNames, pathOf } from '../contract/route-table.ts'
import type { Stack } from './stack.ts'

export type RouteCall = {
  entry: Entry
  credential?: string | undefined
  params?: Readonly<Record<string, string>>
  query?: Readonly<Record<string, string>>
  /** Sent as the route wants it: JSON or a form. */
  body?: Readonly<Record<string, unknown>> | undefined
}

/** Everything of an answer that a caller can see. */
export type Answer = { status: number; mediaType: string; head: string; body: string }

/** Prefixes of ids, for finding the one that a parameter takes. */
const PREFIXES = ['org', 'usr', 'ses', 'inv', 'key', 'idp', 'pol', 'bud', 'aud', 'led', 'sec'] as const

/** Values for the parameters of a path: well-formed where the route says what that is, and of no row that exists. */
export function paramsOfNobody({ path, spec }: Route): Record<string, string> {
  const names = paramNames({ path })
  const candidates = PREFIXES.map((prefix) => newId(prefix, Date.now()))
  const filled = candidates.map((id) => Object.fromEntries(names.map((name) => [name, id])))
  return filled.find((params) => spec.params?.safeParse(params).success) ?? {}
}

const MAX_TRIES = 5

/** A store that is too slow for the gateway says nothing about who may do what: then the call is made again. */
export async function callRoute(stack: Stack, call: RouteCall): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    const answer = await callOnce(stack, call)
    if (tries === MAX_TRIES || !answer.body.includes('"code":"dependency_unavailable"')) return answer
  }
}

async function callOnce(stack: Stack, call: RouteCall): Promise<Answer> {
  const { entry, credential, params = {}, query = {}, body } = call
  const { route } = entry
  const search = new URLSearchParams(query).toString()
  const bytes = route.spec.rawBody ? 'bytes' : undefined
  const response = await fetch(`${stack.url}${pathOf(route, params)}${search && `?${search}`}`, {
    method: route.method.toUpperCase(),
    redirect: 'manual',
    headers: {
      // Every call comes from elsewhere: what is limited by address is not what these calls are about.
      'cf-connecting-ip': anyAddress(),
      ...(credential !== undefined && { authorization: `Bearer ${credential}` }),
      ...(body !== undefined && { 'content-type': route.spec.form ? FORM : 'application/json' }),
    },
    ...(body !== undefined && { body: encode(route, body) }),
    ...(bytes !== undefined && { body: bytes }),
  })
  return {
    status: response.status,
    mediaType: response.headers.get('content-type')?.split(';')[0] ?? '',
    head: [response.statusText, ...[...response.headers].map(([name, value]) => `${name}: ${value}`)].join('\n'),
    body: await response.text(),
  }
}

const FORM = 'application/x-www-form-urlencoded'

function encode({ spec }: Route, body: Readonly<Record<string, unknown>>): string {
  if (!spec.form) return JSON.stringify(body)
  return new URLSearchParams(Object.entries(body).map(([name, value]) => [name, String(value)])).toString()
}

let lastAddress = 0

/** Of the block that is for documentation (RFC 3849), each once. */
function anyAddress(): string {
  lastAddress += 1
  return `2001:db8:${(process.pid & 0xffff).toString(16)}:${lastAddress.toString(16)}::1`
}

/** Runs one piece of work for each item, so many at a time. Results are in the order of the items. */
export async function forEach<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const entries = items.entries()
  const one = async () => {
    for (const [index, item] of entries) results[index] = await work(item)
  }
  await Promise.all(Array.from({ length: atOnce }, one))
  return results
}

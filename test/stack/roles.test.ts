import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { covers, narrow, type Role, roles, scopesOfRole } from '../../src/core/roles.ts'
import { areas } from '../../src/features/index.ts'
import { documentedName, type Entry, loadTable, nameOf } from '../contract/route-table.ts'
import { type FakeVendor, startFakeVendor } from '../support/fake-vendor/server.ts'
import { full } from '../support/lane.ts'
import { keyOf, type PersonOptions, person } from '../support/people.ts'
import { type Answer, callRoute, forEach, paramsOfNobody, type RouteCall } from '../support/route-calls.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { bodyOf } from './tenancy-calls.ts'

const table = await loadTable(areas)

let stack: Stack
let vendor: FakeVendor
let orgId: string

beforeAll(async () => {
  vendor = await startFakeVendor()
  stack = await startStack({ vars: { OPENAI_API_KEY: 'sk-fake-1', OPENAI_BASE_URL: vendor.url } })
  orgId = (await stack.org()).orgId
  // Somebody else owns the organisation, so that owners among the callers may leave it.
  await person(stack, { orgId })
})

afterAll(async () => {
  await stack?.close()
  await vendor?.close()
})

type CallerKind = {
  name: string
  /** What the caller holds; undefined for nobody. */
  holds: readonly string[] | undefined
  /** In the default lane it tries one route of so many, another one than the kind before it. Default: 3. */
  oneOf?: number
  /** A credential of a caller of this kind whom no other call uses. */
  fresh: () => Promise<string | undefined>
}

const signedIn = async (options: PersonOptions) => (await person(stack, { orgId, ...options })).accessToken

/** What a role is, in the words of the table of roles: whoever owns the organisation is signed in, too. */
const kinds: readonly CallerKind[] = [
  { name: 'nobody', holds: undefined, oneOf: 1, fresh: async () => undefined },
  ...roles.map((role: Role) => ({
    name: `a signed-in ${role}`,
    holds: [...scopesOfRole[role], 'user', ...(role === 'owner' ? ['owner'] : [])],
    fresh: () => signedIn({ role }),
  })),
  {
    name: 'an operator',
    holds: ['user', 'operator'],
    fresh: () => signedIn({ isOperator: true, audience: 'helix-admin' }),
  },
  {
    name: 'an operator who is signed in as an owner',
    oneOf: 6,
    holds: [...scopesOfRole.owner, 'user', 'owner'],
    fresh: () => signedIn({ isOperator: true }),
  },
  {
    name: 'a key for everything that nobody stands behind',
    holds: ['*:*'],
    fresh: async () => (await keyOf(stack, { orgId })).apiKey,
  },
  {
    name: 'a key for everything of an owner',
    oneOf: 6,
    holds: narrow(['*:*'], 'owner'),
    fresh: async () => (await keyOf(stack, { orgId, userId: (await person(stack, { orgId })).userId })).apiKey,
  },
  {
    name: 'a key for everything of a readonly person',
    oneOf: 6,
    holds: narrow(['*:*'], 'readonly'),
    fresh: async () => {
      const { userId } = await person(stack, { orgId, role: 'readonly' })
      return (await keyOf(stack, { orgId, userId })).apiKey
    },
  },
  {
    name: 'a key for one thing only',
    holds: ['models:read'],
    fresh: async () => (await keyOf(stack, { orgId, scopes: ['models:read'] })).apiKey,
  },
]

/** The status that the scope alone decides, or `in`: neither 401 nor 403. */
function expectedOf({ route }: Entry, { holds }: CallerKind): 401 | 403 | 'in' {
  if (route.spec.scope === 'public') return 'in'
  if (holds === undefined) return 401
  return covers(holds, route.spec.scope) ? 'in' : 403
}

/** A call that goes no further than its validation or the look-up of a row that does not exist, where there is either. */
function probeOf(entry: Entry, credential: string | undefined): RouteCall {
  const { spec } = entry.route
  const body = spec.body && { a_field_that_no_route_has: true }
  return { entry, credential, params: paramsOfNobody(entry.route), body }
}

const ErrorBody = {
  openai: z.object({ error: z.object({ message: z.string(), type: z.string(), code: z.string().nullable() }) }),
  anthropic: z.object({ type: z.literal('error'), error: z.object({ type: z.string(), message: z.string() }) }),
  problem: z.object({ type: z.string(), title: z.string(), status: z.int(), detail: z.string(), code: z.string() }),
}

/** What is wrong with an answer, in a sentence; nothing when it is as it should be. */
function faultOf(entry: Entry, kind: CallerKind, { status, mediaType, body }: Answer): string | undefined {
  const expected = expectedOf(entry, kind)
  // A public route may say that a store is slow; one with a caller has nothing to fail at.
  const isIn = status !== 401 && status !== 403 && (status < 500 || entry.route.spec.scope === 'public')
  if (expected === 'in' ? !isIn : status !== expected) {
    return `${nameOf(entry)} (${entry.route.spec.scope}) answers ${status} instead of ${expected}: ${body.slice(0, 200)}`
  }
  if (status < 400 || status >= 500) return undefined
  const media = entry.errors === 'problem' ? 'application/problem+json' : 'application/json'
  if (mediaType !== media) return `${nameOf(entry)} answers ${status} as ${mediaType}`
  const parsed = ErrorBody[entry.errors].safeParse(JSON.parse(body))
  return parsed.success ? undefined : `${nameOf(entry)} answers ${status} with ${body.slice(0, 200)}`
}

/** Every field of a public route's body, as a text. */
const hostileOf = ({ route: { spec } }: Entry): Record<string, string> =>
  spec.body instanceof z.ZodObject ? Object.fromEntries(Object.keys(spec.body.shape).map((name) => [name, 'x'])) : {}

const changesItsCaller = ({ route: { method, spec } }: Entry) => method !== 'get' && !spec.body && !spec.params

describe('every route', () => {
  it.each(kinds)('lets $name in exactly where its scope does', async (kind) => {
    const shared = await kind.fresh()
    const turn = kinds.indexOf(kind)
    const tried = table.filter((_, at) => full() || (at + turn) % (kind.oneOf ?? 3) === 0)
    const faults = await forEach(tried, 4, async (entry) => {
      const credential = changesItsCaller(entry) ? await kind.fresh() : shared
      return faultOf(entry, kind, await callRoute(stack, probeOf(entry, credential)))
    })
    expect(faults.filter((fault) => fault !== undefined)).toEqual([])
  })

  it('takes hostile texts in any field without failing on them', async () => {
    const texts = ['\0', 'a\0b', 'a\ud800', 'x'.repeat(100_000), '\r\nBcc: x@example.com', '__proto__', "';--"]
    // In the default lane a field takes one of them, and the next field the next one.
    const textsOf = (turn: number) => texts.filter((_, at) => full() || (at + turn) % texts.length === 0)
    const platform = table.filter(({ errors, route }) => errors === 'problem' && route.spec.body && !route.spec.form)
    const operator = await signedIn({ isOperator: true, audience: 'helix-admin' })
    const owner = await signedIn({ role: 'owner' })
    const faults = await forEach([...platform.entries()], 4, async ([turn, entry]) => {
      const credential = entry.route.spec.scope === 'operator' ? operator : owner
      const body = bodyOf(entry) ?? hostileOf(entry)
      const calls = Object.keys(body).flatMap((field, at) =>
        textsOf(turn + at).map((text) => ({ ...body, [field]: text })),
      )
      const answers = await forEach(calls, 1, (wrong) =>
        callRoute(stack, { entry, credential, params: paramsOfNobody(entry.route), body: wrong }),
      )
      return answers.flatMap(({ status, body: text }) => (status === 500 ? [`${nameOf(entry)}: ${text}`] : []))
    })
    expect(faults.flat()).toEqual([])
  })

  it('can tell the callers apart', () => {
    const guarded = table.filter(({ route }) => route.spec.scope !== 'public')
    for (const kind of kinds.filter(({ holds }) => holds)) {
      const verdicts = new Set(guarded.map((entry) => expectedOf(entry, kind)))
      expect(verdicts, kind.name).toEqual(new Set(['in', 403]))
    }
  })
})

describe('the reference', () => {
  const Operations = z.object({
    paths: z.record(
      z.string(),
      z.record(z.string(), z.object({ 'x-helix-scope': z.string(), 'x-helix-roles': z.array(z.string()).optional() })),
    ),
  })

  it('says of each operation which scope it asks and whose roles hold that', async () => {
    const { paths } = Operations.parse(await (await fetch(`${stack.url}/openapi.json`)).json())
    const documented = Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
    )
    const people = kinds.flatMap((kind) => {
      const role = /^a signed-in (\w+)$/.exec(kind.name)?.[1] ?? (kind.name === 'an operator' ? 'operator' : undefined)
      return role ? [{ role, kind }] : []
    })
    const expected = table.map((entry) => {
      const { scope } = entry.route.spec
      const holders = people.filter(({ kind }) => expectedOf(entry, kind) === 'in').map(({ role }) => role)
      const operation = { 'x-helix-scope': scope, ...(scope !== 'public' && { 'x-helix-roles': holders }) }
      return [documentedName(entry), operation] as const
    })
    expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(expected))
  })
})

import { Validator } from '@seriousme/openapi-schema-validator'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { createGateway } from '../../src/app.ts'
import { areas } from '../../src/features/index.ts'
import { type Area, get, post, type Route } from '../../src/http/route.ts'
import { anthropicErrorOf, openaiErrorOf, problemOf } from '../http/support.ts'
import { fakeAdmit, fakeDeps } from '../support/fake-deps.ts'
import { documentedName, type Entry, faultsOfTable, loadTable, nameOf, sampleOf, takesSample } from './route-table.ts'

const open = { summary: 'Open', scope: 'public' } as const
const closed = { summary: 'Closed', scope: 'tools:write', body: z.strictObject({ name: z.string() }) } as const

/** Two routes that keep every promise, so that the promises are tested whatever the program has. */
const samples: Area[] = [
  {
    name: 'sample',
    at: ['/v1/sample'],
    errors: 'openai',
    load: async () => ({ routes: [post('/v1/sample', closed, () => undefined)] }),
  },
  {
    name: 'other',
    at: ['/api/v1/sample'],
    errors: 'problem',
    load: async () => ({ routes: [post('/api/v1/sample', closed, () => undefined)] }),
  },
]

const everything = [...areas, ...samples]
const table = await loadTable(everything)
const guarded = table.filter(({ route }) => route.spec.scope !== 'public')
const withBody = guarded.filter(({ route }) => route.spec.body !== undefined)

const scopes = [...new Set(guarded.map(({ route }) => route.spec.scope))]
const { admit } = fakeAdmit({ none: [], all: scopes })
const gateway = createGateway(everything, fakeDeps(), { admit })

function send({ route }: Entry, key?: string, body?: string): Promise<Response> {
  const headers = new Headers({ 'content-type': 'application/json', 'cf-connecting-ip': '192.0.2.1' })
  if (key !== undefined) headers.set('authorization', `Bearer ${key}`)
  const init = { method: route.method.toUpperCase(), headers, ...(body !== undefined && { body }) }
  return gateway(new Request(`http://gateway${sampleOf(route)}`, init))
}

/** Anthropic's errors have types only. */
const codes: Readonly<Record<string, string>> = {
  authentication_error: 'missing_api_key',
  permission_error: 'permission_denied',
  invalid_request_error: 'invalid_request',
  not_found_error: 'not_found',
}

async function codeOf({ errors }: Entry, response: Response) {
  if (errors === 'anthropic') return codes[(await anthropicErrorOf(response)).type]
  return errors === 'openai' ? (await openaiErrorOf(response)).code : (await problemOf(response)).code
}

const named = (entries: readonly Entry[]) => entries.map((entry) => [nameOf(entry), entry] as const)

describe('the route table', () => {
  it('has no fault', () => {
    expect(faultsOfTable(table, everything)).toEqual([])
  })

  it('is the document, route for route, and the document is valid', async () => {
    const document: unknown = await (await gateway(new Request('http://gateway/openapi.json'))).json()
    const { paths } = z.object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) }).parse(document)
    const documented = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(documented.sort()).toEqual((await loadTable(areas)).map(documentedName).sort())
    const result = await new Validator().validate(z.record(z.string(), z.unknown()).parse(document))
    expect(result).toMatchObject({ valid: true })
  })

  it('names each subject once, whatever dialects it speaks', async () => {
    const document: unknown = await (await gateway(new Request('http://gateway/openapi.json'))).json()
    const { tags, paths } = z
      .object({
        tags: z.array(z.object({ name: z.string() })),
        paths: z.record(z.string(), z.record(z.string(), z.object({ tags: z.tuple([z.string()]) }))),
      })
      .parse(document)
    const used = Object.values(paths).flatMap((methods) =>
      Object.values(methods).flatMap((operation) => operation.tags),
    )
    const names = tags.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    expect(new Set(names)).toEqual(new Set(used))
    const tagOf = (path: string) => paths[path]?.get?.tags[0]
    expect([tagOf('/v1/decisions/{id}'), tagOf('/api/v1/decisions')]).toEqual(['decisions', 'decisions'])
  })

  it('gives every operation a name of its own', async () => {
    const text = await (await gateway(new Request('http://gateway/openapi.json'))).text()
    const ids = [...text.matchAll(/"operationId":"(\w+)"/g)].map(([, id]) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.length).toBeGreaterThan(0)
  })
})

describe('without a key', () => {
  it.each(named(guarded))('%s answers 401', async (_name, entry) => {
    const response = await send(entry)
    expect(response.status).toBe(401)
    expect(await codeOf(entry, response)).toBe('missing_api_key')
  })
})

describe('with a key that lacks the scope', () => {
  it.each(named(guarded))('%s answers 403', async (_name, entry) => {
    const response = await send(entry, 'none', entry.route.spec.body && '{')
    expect(response.status).toBe(403)
    expect(await codeOf(entry, response)).toBe('permission_denied')
  })
})

describe('with a body that is not what it takes', () => {
  it.each(named(withBody))('%s answers 400 or 422', async (_name, entry) => {
    const response = await send(entry, 'all', 'true')
    // A parameter that cannot exist is a path that cannot exist, whatever the body.
    const isPath = takesSample(entry.route)
    const status = entry.errors === 'problem' ? 422 : 400
    expect(response.status).toBe(isPath ? status : 404)
    expect(await codeOf(entry, response)).toBe(isPath ? 'invalid_request' : 'not_found')
  })
})

describe('a planted fault', () => {
  const planted = async (routes: Route[], area: Partial<Area> = {}, others: Area[] = []) => {
    const list: Area[] = [
      { name: 'a', at: ['/a'], errors: 'problem', load: async () => ({ routes }), ...area },
      ...others,
    ]
    return faultsOfTable(await loadTable(list), list)
  }
  const nothing = () => undefined
  const id = z.object({ id: z.string() })

  it.each<[string, Route[], string]>([
    ['a route that exists twice', [get('/a', open, nothing), get('/a', open, nothing)], 'exists twice'],
    [
      'a fixed path behind a parameter',
      [get('/a/:id', { ...open, params: id }, nothing), get('/a/b', open, nothing)],
      'never reached',
    ],
    [
      'a fixed path behind a pattern',
      [get('/a/:id{.+}', { ...open, params: id }, nothing), get('/a/b.c', open, nothing)],
      'never reached',
    ],
    ['an empty summary', [get('/a', { ...open, summary: ' ' }, nothing)], 'no summary'],
    ['a parameter that is not declared', [get('/a/:id', open, nothing)], 'other params'],
    ['a parameter that is not in the path', [get('/a', { ...open, params: id }, nothing)], 'other params'],
    ['a path of another area', [get('/b', open, nothing)], 'outside the prefixes'],
    [
      'a response that transforms',
      [get('/a', { ...open, response: z.object({ at: z.date() }) }, () => ({ at: new Date() }))],
      'plain object',
    ],
  ])('is found: %s', async (_name, routes, told) => {
    expect((await planted(routes)).join()).toContain(told)
  })

  it('is found: the wrong dialect, and a prefix of two areas', async () => {
    expect((await planted([get('/a', open, nothing)], { errors: 'openai' })).join()).toContain('speaks openai')
    const other: Area = { name: 'b', at: ['/a'], errors: 'problem', load: async () => ({ routes: [] }) }
    expect((await planted([], {}, [other])).join()).toContain('two areas')
  })

  it('is not found where there is none', async () => {
    expect(await planted([get('/a/b', open, nothing), get('/a/:id', { ...open, params: id }, nothing)])).toEqual([])
  })
})

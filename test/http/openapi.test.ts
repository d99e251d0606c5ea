import { Validator } from '@seriousme/openapi-schema-validator'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { buildDocument, operationIdOf } from '../../src/http/openapi.ts'
import { PageQuery, pageOf } from '../../src/http/page.ts'
import { get, post } from '../../src/http/route.ts'

const Tree = z.object({
  name: z.string(),
  get children() {
    return z.array(Tree)
  },
})
const Named = z.object({ name: z.string() }).meta({ id: 'Named' })
const write = { summary: 'Write', scope: 'tools:write' } as const

const document = buildDocument(
  [
    {
      tag: 'thing',
      errors: 'openai',
      routes: [
        post(
          '/v1/trees',
          { ...write, body: Tree, response: Tree, raw: ['text/event-stream'] },
          (_ctx, { body }) => body,
        ),
        post('/v1/groves', { ...write, body: z.object({ first: Tree, second: Tree }) }, () => undefined),
      ],
    },
    {
      tag: 'platform',
      errors: 'problem',
      routes: [
        get(
          '/api/v1/named',
          { ...write, scope: 'tools:read', query: PageQuery, response: pageOf(Named) },
          () => new Response(),
        ),
        get('/api/v1/named/:id', { ...write, scope: 'public', params: z.object({ id: z.string() }) }, () => undefined),
        post(
          '/api/v1/named',
          { ...write, scope: 'keys:write', body: z.object({ name: z.string() }), form: true },
          () => undefined,
        ),
        post(
          '/api/v1/named/end',
          { ...write, scope: 'owner', isKept: false, body: z.object({ why: z.string().default('') }) },
          () => undefined,
        ),
        post('/api/v1/named/all', { ...write, scope: 'org:write|operator' }, () => undefined),
      ],
    },
  ],
  '1.2.3',
)

/** The value at a place of the document. */
const at = (...path: string[]): unknown =>
  path.reduce<unknown>((value, key) => (value === undefined ? undefined : Reflect.get(Object(value), key)), document)

describe('the document', () => {
  it('is valid OpenAPI 3.1, recursive schemas included', async () => {
    const result = await new Validator().validate(structuredClone(document))
    expect(result).toMatchObject({ valid: true })
  })

  it('has no reference that leads nowhere', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(
      ([, reference = '']) => reference,
    )
    expect(references.length).toBeGreaterThan(5)
    for (const reference of references) {
      expect(reference).toMatch(/^#\/components\//)
      expect(at(...reference.slice(2).split('/')), reference).toBeDefined()
    }
  })

  it('says who may call and with which scope', () => {
    expect(at('paths', '/api/v1/named', 'get')).toMatchObject({
      operationId: 'getApiV1Named',
      'x-helix-scope': 'tools:read',
      'x-helix-roles': ['admin', 'owner'],
      security: [{ bearer: [] }],
      tags: ['platform'],
    })
    const open = at('paths', '/api/v1/named/{id}', 'get')
    expect(open).toMatchObject({ 'x-helix-scope': 'public', security: [] })
    expect(open).not.toHaveProperty('x-helix-roles')
    const roles = (path: string) => at('paths', path, 'post', 'x-helix-roles')
    expect(roles('/api/v1/named')).toEqual(['member', 'admin', 'owner'])
    expect(roles('/api/v1/named/end')).toEqual(['owner'])
    expect(roles('/api/v1/named/all')).toEqual(['admin', 'owner', 'operator'])
  })

  it('says in which form a body is sent', () => {
    const mediaOf = (path: string) => Object.keys(Object(at('paths', path, 'post', 'requestBody', 'content')))
    expect(mediaOf('/v1/trees')).toEqual(['application/json'])
    expect(mediaOf('/api/v1/named')).toEqual(['application/x-www-form-urlencoded'])
  })

  it('says whether a body may be missing', () => {
    const isRequired = (path: string) => at('paths', path, 'post', 'requestBody', 'required')
    expect(isRequired('/v1/trees')).toBe(true)
    expect(isRequired('/api/v1/named')).toBe(true)
    expect(isRequired('/api/v1/named/end')).toBe(false)
  })

  it('names the header that makes a call run once, where it does', () => {
    const header = expect.objectContaining({ name: 'Idempotency-Key', in: 'header', required: false })
    expect(at('paths', '/v1/trees', 'post', 'parameters')).toEqual([header])
    expect(at('paths', '/api/v1/named/end', 'post', 'parameters')).toEqual([])
    expect(at('paths', '/api/v1/named', 'get', 'parameters')).not.toContainEqual(header)
  })

  it('lists parameters with their place and whether they are needed', () => {
    expect(at('paths', '/api/v1/named', 'get', 'parameters')).toMatchObject([
      { name: 'limit', in: 'query', required: false, schema: { type: 'integer', default: 20, maximum: 100 } },
      { name: 'after', in: 'query', required: false },
      { name: 'order', in: 'query', required: false },
    ])
    expect(at('paths', '/api/v1/named/{id}', 'get', 'parameters')).toMatchObject([
      { name: 'id', in: 'path', required: true },
    ])
  })

  it('names the errors of each operation in the dialect of its area', () => {
    const errorsOf = (path: string, method: string) => Object.keys(Object(at('paths', path, method, 'responses')))
    const [errors, once] = [
      ['400', '401', '403', '413', '415', '429', '503'],
      ['409', '422'],
    ]
    expect(errorsOf('/v1/trees', 'post')).toEqual(['200', ...[...errors, ...once].sort(), 'default'])
    expect(errorsOf('/api/v1/named/end', 'post')).toEqual(['204', ...[...errors, '422'].sort(), 'default'])
    expect(errorsOf('/api/v1/named/{id}', 'get')).toEqual(['204', '404', '429', 'default'])
    expect(at('components', 'responses', 'openai_401', 'content')).toHaveProperty('application/json')
    expect(at('components', 'responses', 'problem_422', 'content')).toHaveProperty(['application/problem+json'])
  })

  it('offers the media types that a handler makes itself', () => {
    expect(Object.keys(Object(at('paths', '/v1/trees', 'post', 'responses', '200', 'content')))).toEqual([
      'application/json',
      'text/event-stream',
    ])
  })
})

it('operations are named after method and path', () => {
  expect(operationIdOf({ method: 'post', path: '/v1/chat/completions' })).toBe('postV1ChatCompletions')
  expect(operationIdOf({ method: 'get', path: '/api/v1/keys/:id' })).toBe('getApiV1KeysById')
  expect(operationIdOf({ method: 'get', path: '/v1/models/:model{.+}' })).toBe('getV1ModelsByModel')
  expect(operationIdOf({ method: 'get', path: '/' })).toBe('getRoot')
  expect(operationIdOf({ method: 'get', path: '/openapi.json' })).toBe('getOpenapiJson')
})

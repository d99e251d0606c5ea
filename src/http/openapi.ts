import * as z from 'zod'
import { errorCodes } from '../core/errors.ts'
import { covers, heldBy, heldByOperators, roles } from '../core/roles.ts'
import { type Dialect, heedsIdempotencyKey, MAX_IDEMPOTENCY_KEY, mayLackBody, type Route } from './route.ts'

type Json = Record<string, unknown>

/** The routes of one area, as the document wants them. */
export type DocumentedArea = { tag: string; errors: Dialect; routes: readonly Route[] }

const FORM = 'application/x-www-form-urlencoded'
const ERROR_MEDIA = {
  openai: 'application/json',
  anthropic: 'application/json',
  problem: 'application/problem+json',
} as const

const errorSchemas: Record<Dialect, Json> = {
  openai: {
    type: 'object',
    required: ['error'],
    properties: {
      error: {
        type: 'object',
        required: ['message', 'type', 'param', 'code'],
        properties: {
          message: { type: 'string' },
          type: { type: 'string' },
          param: { type: ['string', 'null'], description: 'The field at fault: `messages[0].content`.' },
          code: { type: ['string', 'null'] },
          retryable: { type: 'boolean', description: 'Present and true when the same request may succeed later.' },
        },
      },
    },
  },
  anthropic: {
    type: 'object',
    required: ['type', 'error', 'request_id'],
    properties: {
      type: { const: 'error' },
      error: {
        type: 'object',
        required: ['type', 'message'],
        properties: { type: { type: 'string' }, message: { type: 'string' } },
      },
      request_id: { type: 'string' },
    },
  },
  problem: {
    type: 'object',
    required: ['type', 'title', 'status', 'detail', 'instance', 'code', 'request_id'],
    properties: {
      type: { type: 'string', format: 'uri-reference', description: 'The page that explains the code.' },
      title: { type: 'string' },
      status: { type: 'integer' },
      detail: { type: 'string' },
      instance: { type: 'string', format: 'uri-reference' },
      code: { type: 'string' },
      request_id: { type: 'string' },
      errors: {
        type: 'array',
        items: {
          type: 'object',
          required: ['pointer', 'detail'],
          properties: { pointer: { type: 'string' }, detail: { type: 'string' } },
        },
      },
      retryable: { type: 'boolean', description: 'Present and true when the same request may succeed later.' },
    },
  },
}

const schemaNames: Readonly<Record<Dialect, string>> = {
  openai: 'OpenAiError',
  anthropic: 'AnthropicError',
  problem: 'Problem',
}

/** `post /v1/chat/completions` → `postV1ChatCompletions`; a parameter becomes `By…`. */
export function operationIdOf({ method, path }: Pick<Route, 'method' | 'path'>): string {
  if (path === '/') return `${method}Root`
  const words = path.replace(PARAM, 'by_$1').split(/[^A-Za-z0-9]+/)
  return method + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

/** A parameter of a path, with the pattern that Hono may be given for it. */
const PARAM = /:(\w+)(?:\{[^}]*\})?/g

const templateOf = (path: string) => path.replace(PARAM, '{$1}')

type Schemas = Record<string, unknown>

/** Points references at the document's components instead of the schema's own definitions. */
function relocate(value: unknown, nameOf: (reference: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => relocate(item, nameOf))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, item]) => {
    if (key === '$ref' && typeof item === 'string') return [key, `#/components/schemas/${nameOf(item)}`]
    return [key, relocate(item, nameOf)]
  })
  return Object.fromEntries(entries)
}

/** A schema's JSON Schema (2020-12, as OpenAPI 3.1 has it); what it defines for itself moves to `schemas`. */
function toSchema(schema: z.ZodType, io: 'input' | 'output', { name, schemas }: { name: string; schemas: Schemas }) {
  const { $schema: _dialect, $defs = {}, ...own } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  // Definitions without an id are numbered by zod for each schema anew.
  const nameOf = (reference: string) => {
    const local = reference.replace(/^#(?:\/\$defs\/)?/, '')
    return local === '' || local.startsWith('__') ? `${name}${local}` : local
  }
  for (const [local, definition] of Object.entries($defs)) schemas[nameOf(local)] = relocate(definition, nameOf)
  const result = relocate(own, nameOf)
  if (!JSON.stringify(own).includes('"$ref":"#"')) return result
  schemas[name] = result
  return { $ref: `#/components/schemas/${name}` }
}

function parametersOf(place: 'path' | 'query', schema: z.ZodType | undefined): Json[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return Object.entries(properties).map(([name, property]) => {
    const description = typeof property === 'object' ? property.description : undefined
    const isRequired = place === 'path' || required.includes(name)
    return { name, in: place, required: isRequired, ...(description && { description }), schema: property }
  })
}

const idempotencyKey: Json = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'The call runs once: for a day, the same call with the same key gets the answer of the first.',
  schema: { type: 'string', minLength: 1, maxLength: MAX_IDEMPOTENCY_KEY },
}

/** Statuses that the program itself may answer before or instead of the handler. */
function errorStatuses(route: Route, dialect: Dialect): number[] {
  const { spec } = route
  return [
    ...(heedsIdempotencyKey(route) ? [400, 409, 422] : []),
    ...(spec.body ? [400, 413, 415] : []),
    ...(spec.scope === 'public' ? (spec.isProbe ? [] : [429]) : [401, 403, 429, 503]),
    ...(spec.params ? [404] : []),
    ...(spec.query ? [400] : []),
    ...(dialect === 'problem' && (spec.body || spec.query) ? [422] : []),
  ]
}

function successOf(route: Route, schemas: Schemas): Json {
  const { response, raw = [], status } = route.spec
  const code = status ?? (response || raw.length > 0 ? 200 : 204)
  const content: Json = {}
  if (response) {
    const name = `${operationIdOf(route)}Response`
    content['application/json'] = { schema: toSchema(response, 'output', { name, schemas }) }
  }
  for (const media of raw) content[media] = { schema: { type: 'string' } }
  return { [code]: { description: route.spec.summary, ...(Object.keys(content).length > 0 && { content }) } }
}

const MULTIPART = 'multipart/form-data'

/** The same fields by each media type; files come by one of them only. */
function bodyContent({ form, multipart }: Route['spec'], schema: Json): Json {
  if (form) return { [FORM]: { schema } }
  if (!multipart) return { 'application/json': { schema } }
  return { [MULTIPART]: { schema }, 'application/json': { schema: withoutFiles(schema) } }
}

const isFileSchema = (property: unknown): boolean => JSON.stringify(property)?.includes('"format":"binary"') ?? false

function withoutFiles(schema: Json): Json {
  const { properties, required } = schema
  if (typeof properties !== 'object' || properties === null) return schema
  const entries = Object.entries(properties).filter(([, property]) => !isFileSchema(property))
  const names = new Set(entries.map(([name]) => name))
  const needed = Array.isArray(required) ? required.filter((name) => names.has(name)) : []
  const { required: _all, ...rest } = schema
  return { ...rest, properties: Object.fromEntries(entries), ...(needed.length > 0 && { required: needed }) }
}

function operation(route: Route, area: DocumentedArea, schemas: Schemas): Json {
  const { summary, description, scope, params, query, body, rawBody } = route.spec
  const operationId = operationIdOf(route)
  const errors = errorStatuses(route, area.errors).map((status) => {
    return [status, { $ref: `#/components/responses/${area.errors}_${status}` }]
  })
  const bodySchema = body && toSchema(body, 'input', { name: `${operationId}Body`, schemas })
  return {
    operationId,
    tags: [area.tag],
    summary,
    ...(description && { description }),
    'x-helix-scope': scope,
    ...(scope !== 'public' && { 'x-helix-roles': rolesOf(scope) }),
    security: scope === 'public' ? [] : [{ bearer: [] }],
    parameters: [
      ...parametersOf('path', params),
      ...parametersOf('query', query),
      ...(heedsIdempotencyKey(route) ? [idempotencyKey] : []),
    ],
    ...(bodySchema !== undefined && {
      requestBody: {
        required: !mayLackBody(route.spec),
        content: bodyContent(route.spec, { ...bodySchema }),
      },
    }),
    ...(rawBody && {
      requestBody: { required: true, content: { '*/*': { schema: { type: 'string', format: 'binary' } } } },
    }),
    responses: {
      ...successOf(route, schemas),
      ...Object.fromEntries(errors),
      default: { $ref: `#/components/responses/${area.errors}_default` },
    },
  }
}

/** Who may call it when signed in: roles of an organisation, and `operator` for platform staff. */
function rolesOf(scope: string): string[] {
  const operators = covers(heldByOperators, scope) ? ['operator'] : []
  return [...roles.filter((role) => covers(heldBy(role), scope)), ...operators]
}

function errorResponses(dialect: Dialect): Json {
  const content = { [ERROR_MEDIA[dialect]]: { schema: { $ref: `#/components/schemas/${schemaNames[dialect]}` } } }
  const codesByStatus = new Map<number, string[]>()
  for (const [code, { status }] of Object.entries(errorCodes)) {
    codesByStatus.set(status, [...(codesByStatus.get(status) ?? []), code])
  }
  if (dialect === 'problem') codesByStatus.set(422, ['invalid_request', ...(codesByStatus.get(422) ?? [])])
  const named = [...codesByStatus].map(([status, codes]) => {
    return [`${dialect}_${status}`, { description: codes.map((code) => `\`${code}\``).join(', '), content }]
  })
  return { ...Object.fromEntries(named), [`${dialect}_default`]: { description: 'Any other failure.', content } }
}

/** The OpenAPI 3.1 document of every route; nothing in it is written a second time. */
export function buildDocument(areas: readonly DocumentedArea[], version: string): Json {
  const schemas: Schemas = {
    [schemaNames.openai]: errorSchemas.openai,
    [schemaNames.anthropic]: errorSchemas.anthropic,
    [schemaNames.problem]: errorSchemas.problem,
  }
  const paths: Record<string, Json> = {}
  for (const area of areas) {
    for (const route of area.routes) {
      const path = templateOf(route.path)
      paths[path] = { ...paths[path], [route.method]: operation(route, area, schemas) }
    }
  }
  const tags = new Set(areas.filter(({ routes }) => routes.length > 0).map(({ tag }) => tag))
  return {
    openapi: '3.1.1',
    info: { title: 'Helix', version, description: 'An OpenAI-compatible AI gateway and agent backend.' },
    servers: [{ url: '/' }],
    tags: [...tags].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description:
            'An API key or the access token of somebody who is signed in. `x-helix-scope` names what it must hold, `x-helix-roles` who holds that when signed in.',
        },
      },
      schemas,
      responses: { ...errorResponses('openai'), ...errorResponses('anthropic'), ...errorResponses('problem') },
    },
  }
}

import * as z from 'zod'

type Json = Readonly<Record<string, unknown>>

/**
 * What a vendor would refuse a schema for, or a node's grammar would choke on, and what we check ourselves anyway.
 * https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
 */
const LEFT_OUT: ReadonlySet<string> = new Set(['$schema', 'default', 'minLength', 'maxLength', 'propertyNames'])

/** The names in these may be any word, also one of the schema's own. */
const HOLDS_NAMES: ReadonlySet<string> = new Set(['properties', '$defs'])

/** `response_format` for answers of a shape: strict where every field of it is always there, as strictness demands. */
export function responseFormat(name: string, schema: z.ZodType): Json {
  const told = wireSchema(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }))
  return { type: 'json_schema', json_schema: { name, schema: told, strict: isStrict(told) } }
}

function wireSchema(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(wireSchema)
  if (!isFields(node)) return node
  const fields = Object.entries(node).flatMap(([field, value]): [string, unknown][] => {
    if (LEFT_OUT.has(field) || isNoBound(field, value)) return []
    if (HOLDS_NAMES.has(field)) return [[field, mapped(value)]]
    return [[field, field === 'enum' || field === 'const' ? value : wireSchema(value)]]
  })
  const isClosed = 'properties' in node && !('additionalProperties' in node)
  return Object.fromEntries(isClosed ? [...fields, ['additionalProperties', false]] : fields)
}

const mapped = (value: unknown): unknown =>
  isFields(value)
    ? Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, wireSchema(schema)]))
    : value

/** The bounds of whole numbers as such: some grammars count in 32 bits. */
const isNoBound = (field: string, value: unknown): boolean =>
  (field === 'maximum' && value === Number.MAX_SAFE_INTEGER) ||
  (field === 'minimum' && value === Number.MIN_SAFE_INTEGER)

function isStrict(node: unknown): boolean {
  if (Array.isArray(node)) return node.every(isStrict)
  if (!isFields(node)) return true
  const { properties, required, additionalProperties } = node
  if (additionalProperties !== undefined && additionalProperties !== false) return false
  if (isFields(properties)) {
    const names = Object.keys(properties)
    if (!Array.isArray(required) ? names.length > 0 : names.some((name) => !required.includes(name))) return false
  }
  return Object.entries(node).every(([field, value]) =>
    HOLDS_NAMES.has(field) && isFields(value) ? Object.values(value).every(isStrict) : isStrict(value),
  )
}

const isFields = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

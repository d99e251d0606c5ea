type Schema = Record<string, unknown>

const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const numberOr = (value: unknown, fallback: number) => (typeof value === 'number' ? value : fallback)
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
const maxDepth = 20

const examplesByFormat: Record<string, string> = {
  'date-time': '2026-01-01T00:00:00Z',
  date: '2026-01-01',
  time: '00:00:00Z',
  email: 'a@example.com',
  uri: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
}

/** Follows `#/$defs/Name` and its like inside the root schema. */
function resolveReference(reference: string, root: Schema): unknown {
  let place: unknown = root
  for (const step of reference.replace(/^#\/?/, '').split('/').filter(Boolean)) {
    place = isObject(place) ? place[step.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined
  }
  return place
}

function exampleObject(schema: Schema, root: Schema, depth: number): Schema {
  const properties = isObject(schema.properties) ? schema.properties : {}
  const required = listOf(schema.required).filter((name): name is string => typeof name === 'string')
  return Object.fromEntries(required.map((name) => [name, exampleAt(properties[name], root, depth + 1)]))
}

function exampleString(schema: Schema): string {
  const example = examplesByFormat[String(schema.format)]
  return (
    example ??
    'word '.repeat(Math.ceil(numberOr(schema.minLength, 4) / 5)).slice(0, Math.max(numberOr(schema.minLength, 4), 0))
  )
}

/** The least number allowed, or zero, or the greatest when that is below zero; rounded up to the schema's step. */
function exampleNumber(schema: Schema): number {
  const least = numberOr(schema.minimum, numberOr(schema.exclusiveMinimum, -1) + 1)
  const most = numberOr(schema.maximum, numberOr(schema.exclusiveMaximum, Number.POSITIVE_INFINITY) - 1)
  const step = numberOr(schema.multipleOf, schema.type === 'integer' ? 1 : 0)
  const start = Math.min(least, most)
  return step > 0 ? Math.ceil(start / step) * step : start
}

function exampleOfType(type: unknown, schema: Schema, { root, depth }: { root: Schema; depth: number }): unknown {
  if (type === 'string') return exampleString(schema)
  if (type === 'integer' || type === 'number') return exampleNumber(schema)
  if (type === 'boolean') return false
  if (type === 'null') return null
  if (type === 'array') {
    return Array.from({ length: numberOr(schema.minItems, 0) }, () => exampleAt(schema.items, root, depth + 1))
  }
  return exampleObject(schema, root, depth)
}

function exampleAt(schema: unknown, root: Schema, depth: number): unknown {
  if (!isObject(schema) || depth > maxDepth) return null
  if (typeof schema.$ref === 'string') return exampleAt(resolveReference(schema.$ref, root), root, depth + 1)
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0]
  const [alternative] = [...listOf(schema.anyOf), ...listOf(schema.oneOf)]
  if (alternative !== undefined) return exampleAt(alternative, root, depth + 1)
  const all = listOf(schema.allOf).filter(isObject)
  if (all.length > 0) return Object.assign({}, ...all.map((part) => exampleAt(part, root, depth + 1)))
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  return exampleOfType(type, schema, { root, depth })
}

/** The smallest value that a JSON schema of the kind that structured outputs use accepts. */
export const minimalExample = (schema: unknown): unknown => exampleAt(schema, isObject(schema) ? schema : {}, 0)

import { mergeSchemas, resolveReference } from './schema-merge.ts'
import { textForSchema } from './schema-text.ts'
import { isJsonObject, type JsonObject } from './types.ts'

/** Where the free choices of a value come from. */
export type ValueSource = {
  /** Text for a string property; the schema's bounds are applied afterwards. */
  text(key: string): string
  /** A preferred value for a property (used when its schema allows it), e.g. a number found in the question. */
  number?(key: string): number | undefined
}

type Context = { root: JsonObject; source: ValueSource; depth: number; key: string }

/** Below this depth optional properties are left out and unions take a leaf, so recursive schemas end. */
const softDepth = 6
const hardDepth = 40

/** Thrown (as an Error) when no value can satisfy the schema. */
export function unsatisfiable(reason: string): Error {
  return Object.assign(new Error(reason), { name: 'UnsatisfiableSchema' })
}

/**
 * A value that validates against a JSON Schema (2020-12 vocabulary as used for structured output). Unions take their
 * first workable branch; optional properties are filled in.
 *
 * @throws Error named `UnsatisfiableSchema`, or SyntaxError for an invalid `pattern`.
 */
export function valueForSchema(schema: JsonObject, source: ValueSource): unknown {
  return build(schema, { root: schema, source, depth: 0, key: 'value' })
}

function build(schema: unknown, context: Context): unknown {
  if (schema === true || schema === undefined) return context.source.text(context.key)
  if (!isJsonObject(schema)) throw unsatisfiable('false schema')
  if (context.depth > hardDepth) throw unsatisfiable('schema recurses without end')
  if (typeof schema.$ref === 'string') {
    const { $ref, ...siblings } = schema
    const target = resolveReference(context.root, $ref)
    if (!isJsonObject(target)) throw unsatisfiable(`unresolvable reference ${$ref}`)
    return build(mergeSchemas(target, siblings), { ...context, depth: context.depth + 1 })
  }
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.allOf)) return build(flattenAllOf(schema, context), context)
  const branches = schema.anyOf ?? schema.oneOf
  if (Array.isArray(branches)) return buildUnion(schema, branches, context)
  if (Array.isArray(schema.enum)) return pickFromEnum(schema, schema.enum)
  return buildTyped(schema, context)
}

function flattenAllOf(schema: JsonObject, context: Context): JsonObject {
  const { allOf, ...rest } = schema
  let merged: JsonObject = rest
  for (const part of Array.isArray(allOf) ? allOf : []) {
    let branch: unknown = part
    for (let hops = 0; isJsonObject(branch) && typeof branch.$ref === 'string' && hops < hardDepth; hops += 1) {
      const { $ref, ...siblings } = branch
      const target = resolveReference(context.root, $ref)
      branch = isJsonObject(target) ? mergeSchemas(target, siblings) : target
    }
    if (branch === true) continue
    if (!isJsonObject(branch)) throw unsatisfiable('allOf holds a schema nothing satisfies')
    merged = mergeSchemas(merged, 'allOf' in branch ? flattenAllOf(branch, context) : branch)
  }
  return merged
}

function isLeaf(branch: unknown): boolean {
  if (!isJsonObject(branch)) return false
  return !('$ref' in branch) && branch.type !== 'object' && branch.type !== 'array'
}

function buildUnion(schema: JsonObject, branches: unknown[], context: Context): unknown {
  const { anyOf: _anyOf, oneOf, ...base } = schema
  // A schema with both keywords keeps the other one for the next round.
  const rest = Array.isArray(schema.anyOf) && oneOf !== undefined ? { ...base, oneOf } : base
  const deep = context.depth > softDepth
  const ordered = deep ? [...branches.filter(isLeaf), ...branches.filter((branch) => !isLeaf(branch))] : branches
  let failure: unknown = unsatisfiable('empty union')
  for (const branch of ordered) {
    try {
      const merged = isJsonObject(branch) ? mergeSchemas(rest, branch) : branch === true ? rest : branch
      return build(merged, { ...context, depth: context.depth + 1 })
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return typeof value
}

function pickFromEnum(schema: JsonObject, values: unknown[]): unknown {
  const types = schema.type === undefined ? undefined : [schema.type].flat()
  const found = values.findIndex((value) => {
    if (types === undefined || types.includes(typeOf(value))) return true
    return types.includes('integer') && Number.isInteger(value)
  })
  if (found < 0) throw unsatisfiable('no enum member has the demanded type')
  return values[found]
}

function impliedType(schema: JsonObject): string {
  if (Array.isArray(schema.type)) {
    const [first] = schema.type
    if (typeof first !== 'string') throw unsatisfiable('no type is left')
    return first
  }
  if (typeof schema.type === 'string') return schema.type
  if ('properties' in schema || 'required' in schema || 'additionalProperties' in schema) return 'object'
  if ('items' in schema || 'prefixItems' in schema || 'minItems' in schema) return 'array'
  const numeric = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf']
  return numeric.some((key) => key in schema) ? 'number' : 'string'
}

function buildTyped(schema: JsonObject, context: Context): unknown {
  switch (impliedType(schema)) {
    case 'object':
      return buildObject(schema, context)
    case 'array':
      return buildArray(schema, context)
    case 'integer':
      return buildNumber({ ...schema, multipleOf: integerStep(schema) }, context)
    case 'number':
      return buildNumber(schema, context)
    case 'boolean':
      return true
    case 'null':
      return null
    case 'string': {
      const text = textForSchema(schema, context.source.text(context.key))
      if (text === undefined) throw unsatisfiable('no string fits')
      return text
    }
    default:
      throw unsatisfiable('unknown type')
  }
}

function integerStep(schema: JsonObject): number {
  return typeof schema.multipleOf === 'number' && Number.isInteger(schema.multipleOf) ? schema.multipleOf : 1
}

function buildObject(schema: JsonObject, context: Context): JsonObject {
  const properties = isJsonObject(schema.properties) ? schema.properties : {}
  const required = new Set(
    Array.isArray(schema.required) ? schema.required.filter((name) => typeof name === 'string') : [],
  )
  const result: JsonObject = {}
  const put = (name: string, value: unknown) =>
    Object.defineProperty(result, name, { value, enumerable: true, configurable: true, writable: true })
  for (const [name, child] of Object.entries(properties)) {
    const optional = !required.has(name)
    if (optional && context.depth >= softDepth) continue
    try {
      put(name, build(child, { ...context, depth: context.depth + 1, key: name }))
    } catch (error) {
      if (!optional) throw error
    }
  }
  const extra = schema.additionalProperties
  for (const name of required) {
    if (Object.hasOwn(properties, name)) continue
    if (extra === false) throw unsatisfiable(`required property ${name} is not allowed`)
    put(name, build(extra, { ...context, depth: context.depth + 1, key: name }))
  }
  const minimum = typeof schema.minProperties === 'number' ? schema.minProperties : 0
  for (let index = 1; Object.keys(result).length < minimum && extra !== false; index += 1) {
    put(`demo_${index}`, build(extra, { ...context, depth: context.depth + 1, key: `demo_${index}` }))
  }
  return result
}

function buildArray(schema: JsonObject, context: Context): unknown[] {
  const prefix = Array.isArray(schema.prefixItems) ? schema.prefixItems : []
  const minimum = typeof schema.minItems === 'number' ? schema.minItems : 0
  const maximum = typeof schema.maxItems === 'number' ? schema.maxItems : Number.POSITIVE_INFINITY
  if (minimum > maximum) throw unsatisfiable('minItems is above maxItems')
  const wanted = context.depth >= softDepth || schema.items === false ? minimum : Math.max(minimum, 1, prefix.length)
  const items: unknown[] = []
  const seen = new Set<string>()
  for (let index = 0; items.length < Math.min(wanted, maximum); index += 1) {
    const child = index < prefix.length ? prefix[index] : schema.items
    const value = build(child, { ...context, depth: context.depth + 1, key: context.key })
    const distinct = schema.uniqueItems === true ? varied(value, child, seen) : value
    seen.add(JSON.stringify(distinct))
    items.push(distinct)
  }
  return items
}

/** A neighbour of `value` not seen before that its schema still allows. */
function varied(value: unknown, schema: unknown, seen: ReadonlySet<string>): unknown {
  if (!seen.has(JSON.stringify(value))) return value
  if (isJsonObject(schema) && Array.isArray(schema.enum)) {
    const found = schema.enum.find((member) => !seen.has(JSON.stringify(member)))
    if (found !== undefined) return found
  }
  const bounds = isJsonObject(schema) ? schema : {}
  const maxLength = typeof bounds.maxLength === 'number' ? bounds.maxLength : Number.POSITIVE_INFINITY
  const step = typeof bounds.multipleOf === 'number' ? bounds.multipleOf : 1
  const maximum = typeof bounds.maximum === 'number' ? bounds.maximum : Number.POSITIVE_INFINITY
  for (let count = 1; count <= seen.size + 1; count += 1) {
    const next =
      typeof value === 'number'
        ? value + count * step
        : typeof value === 'string'
          ? suffixed(value, count, maxLength)
          : !value
    const fits = typeof next !== 'number' || next <= maximum
    if (fits && !seen.has(JSON.stringify(next))) return next
  }
  throw unsatisfiable('no further unique item')
}

function suffixed(text: string, count: number, maxLength: number): string {
  const tail = ` ${count + 1}`
  return (
    Array.from(text)
      .slice(0, Math.max(0, maxLength - tail.length))
      .join('') + tail
  )
}

function buildNumber(schema: JsonObject, context: Context): number {
  const read = (key: string) => (typeof schema[key] === 'number' ? schema[key] : undefined)
  const step = read('multipleOf')
  const low = Math.max(read('minimum') ?? -Infinity, read('exclusiveMinimum') ?? -Infinity)
  const high = Math.min(read('maximum') ?? Infinity, read('exclusiveMaximum') ?? Infinity)
  const allowed = (value: number) =>
    value >= low &&
    value <= high &&
    value !== read('exclusiveMinimum') &&
    value !== read('exclusiveMaximum') &&
    (step === undefined || Number.isInteger(value / step))
  const unit = step ?? 1
  const options: (number | undefined)[] = [context.source.number?.(context.key), 1, unit, 0]
  if (Number.isFinite(low)) {
    const first = Math.ceil(low / unit) * unit
    options.push(low, first, first + unit)
  }
  if (Number.isFinite(high)) {
    const last = Math.floor(high / unit) * unit
    options.push(high, last, last - unit)
  }
  if (Number.isFinite(low) && Number.isFinite(high)) options.push((low + high) / 2)
  const found = options.find((value) => value !== undefined && allowed(value))
  if (found === undefined) throw unsatisfiable('no number fits')
  return found === 0 ? 0 : found
}

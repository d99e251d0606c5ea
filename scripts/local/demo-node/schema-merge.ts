import { isJsonObject, type JsonObject } from './types.ts'

/** Resolves `#`, `#/$defs/…` and `#/definitions/…` against the root schema. */
export function resolveReference(root: JsonObject, reference: string): unknown {
  if (reference === '#') return root
  if (!reference.startsWith('#/')) return undefined
  let current: unknown = root
  for (const raw of reference.slice(2).split('/')) {
    const part = decodeURIComponent(raw).replaceAll('~1', '/').replaceAll('~0', '~')
    if (Array.isArray(current)) current = current[Number(part)]
    else if (isJsonObject(current)) current = Object.hasOwn(current, part) ? current[part] : undefined
    else return undefined
  }
  return current
}

function tightest(key: string, left: unknown, right: unknown): unknown {
  if (typeof left !== 'number' || typeof right !== 'number') return right
  return /^(?:min|exclusiveMin)/.test(key) ? Math.max(left, right) : Math.min(left, right)
}

function mergeKey(key: string, left: unknown, right: unknown): unknown {
  if (key === 'required' && Array.isArray(left) && Array.isArray(right)) return [...new Set([...left, ...right])]
  if (key === 'enum' && Array.isArray(left) && Array.isArray(right)) {
    const allowed = new Set(right.map((value) => JSON.stringify(value)))
    return left.filter((value) => allowed.has(JSON.stringify(value)))
  }
  if (key === 'properties' && isJsonObject(left) && isJsonObject(right)) return mergeProperties(left, right)
  if (key === 'type') return mergeTypes(left, right)
  return tightest(key, left, right)
}

function mergeProperties(left: JsonObject, right: JsonObject): JsonObject {
  const merged: JsonObject = { ...left }
  for (const [name, schema] of Object.entries(right)) {
    const existing = Object.hasOwn(left, name) ? left[name] : undefined
    merged[name] = isJsonObject(existing) && isJsonObject(schema) ? { allOf: [existing, schema] } : schema
  }
  return merged
}

function mergeTypes(left: unknown, right: unknown): unknown {
  const wide = new Set([left].flat())
  const both = [right].flat().filter((type) => wide.has(type) || (type === 'integer' && wide.has('number')))
  if (both.length > 0) return both
  return [left].flat().includes('integer') && [right].flat().includes('number') ? 'integer' : both
}

/** One schema that demands what both do, as far as values can be built from it. */
export function mergeSchemas(left: JsonObject, right: JsonObject): JsonObject {
  const merged: JsonObject = { ...left }
  for (const [key, value] of Object.entries(right)) {
    merged[key] = Object.hasOwn(left, key) ? mergeKey(key, left[key], value) : value
  }
  return merged
}

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What a document becomes under a merge patch (RFC 7396): null takes a field away, a list replaces a list. */
export function mergePatch(document: unknown, patch: unknown): unknown {
  if (!isFields(patch)) return patch
  const merged = new Map(Object.entries(isFields(document) ? document : {}))
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name)
    else merged.set(name, mergePatch(merged.get(name), value))
  }
  // `fromEntries` defines its fields: one that is called __proto__ is a field like any other.
  return Object.fromEntries(merged)
}

/** Where in a value a text stands that no store keeps as it is; undefined where there is none. */
export type Place = readonly PropertyKey[] | undefined

/** Postgres has no NUL in its texts, and UTF-8 no half of a surrogate pair. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed()

/** The first such text in parsed JSON or in a form's fields, names of fields among them. Recurses: the depth must be known to be small. */
export function findUnstorable(value: unknown): Place {
  if (typeof value === 'string') return isStorable(value) ? undefined : []
  // Bytes of a file are kept as bytes.
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return undefined
  const isList = Array.isArray(value)
  for (const [name, item] of Object.entries(value)) {
    // A name that cannot be told is not repeated: the place is what it stands in.
    if (!isStorable(name)) return []
    const place = findUnstorable(item)
    if (place) return [isList ? Number(name) : name, ...place]
  }
  return undefined
}

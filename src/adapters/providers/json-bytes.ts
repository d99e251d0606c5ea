/** Shorter texts are not worth the search for them. */
const LONG_CHARS = 64 * 1024
/** What JSON writes as it is, one byte a character. */
const BASE64 = /^[\w+/=-]*$/

const encoder = new TextEncoder()

/**
 * A value as JSON in UTF-8, in which long base64 texts are written once: `JSON.stringify` and the encoder after it would
 * each hold a copy of them.
 */
export function jsonBytes(value: unknown): Uint8Array {
  const long: string[] = []
  // No text of the value can hold what nobody could foresee.
  const mark = crypto.randomUUID()
  const json = JSON.stringify(value, (_name, item: unknown) => {
    if (typeof item !== 'string' || item.length < LONG_CHARS || !BASE64.test(item)) return item
    long.push(item)
    return mark
  })
  const rest = json.split(mark).map((piece) => encoder.encode(piece))
  const bytes = new Uint8Array([...rest, ...long].reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const [index, piece] of rest.entries()) {
    bytes.set(piece, at)
    at += piece.length
    const text = long[index]
    if (text !== undefined) at += encoder.encodeInto(text, bytes.subarray(at)).written
  }
  return bytes
}

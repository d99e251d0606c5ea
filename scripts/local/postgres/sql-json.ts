/** JSON values for the text that Postgres sends, used when a client did not ask for raw text. */

const BOOL = 16
const NUMBERS = new Set([21, 23, 700, 701])
const JSON_TYPES = new Set([114, 3802])

/** Type of the elements of the built-in array types (pg_type.typarray read backwards). */
const ELEMENT_TYPES: ReadonlyMap<number, number> = new Map([
  [1000, BOOL],
  [1001, 17],
  [1005, 21],
  [1007, 23],
  [1009, 25],
  [1014, 1042],
  [1015, 1043],
  [1016, 20],
  [1021, 700],
  [1022, 701],
  [1115, 1114],
  [1182, 1082],
  [1185, 1184],
  [1231, 1700],
  [199, 114],
  [2951, 2950],
  [3807, 3802],
])

/** bool, small integers, finite floats, json and arrays become JSON; everything else stays text. */
export function toJsonValue(typeId: number, text: string): unknown {
  const elementType = ELEMENT_TYPES.get(typeId)
  if (elementType !== undefined) return parseArray(text, (element) => toJsonValue(elementType, element))
  if (typeId === BOOL) return text === 't'
  if (JSON_TYPES.has(typeId)) return JSON.parse(text)
  if (!NUMBERS.has(typeId)) return text
  const number = Number(text)
  return Number.isFinite(number) ? number : text
}

/**
 * Reads an array literal such as `{1,NULL,"a \"b\"",{2}}`. Bounds in front (`[0:1]={…}`) are dropped.
 * Source: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
export function parseArray(literal: string, parseElement: (text: string) => unknown): unknown[] {
  let at = literal.indexOf('{')

  function readList(): unknown[] {
    const elements: unknown[] = []
    at += 1
    while (at < literal.length && literal[at] !== '}') {
      if (literal[at] === ',') at += 1
      elements.push(readElement())
    }
    at += 1
    return elements
  }

  function readElement(): unknown {
    if (literal[at] === '{') return readList()
    if (literal[at] === '"') return parseElement(readQuoted())
    const start = at
    while (at < literal.length && literal[at] !== ',' && literal[at] !== '}') at += 1
    const text = literal.slice(start, at)
    return text === 'NULL' ? null : parseElement(text)
  }

  function readQuoted(): string {
    let text = ''
    at += 1
    while (at < literal.length && literal[at] !== '"') {
      if (literal[at] === '\\') at += 1
      text += literal[at] ?? ''
      at += 1
    }
    at += 1
    return text
  }

  return at === -1 ? [] : readList()
}

/**
 * An answer in the form in which it is compared with others: without case, spaces around it, punctuation around its
 * words, a fence around the whole, and with numbers, units and JSON written in one way. Words are not read as numbers.
 */
export function normalForm(text: string): string {
  const bare = withoutFence(text.normalize('NFKC').trim())
  const json = canonicalJson(bare)
  if (json !== undefined) return json
  const lowered = bare.toLowerCase().replace(/[\u2010-\u2015\u2212]/g, '-')
  const words = plainNumbers(lowered).split(/\s+/)
  return plainUnits(words.map(withoutPunctuation).filter(Boolean).join(' '))
}

/** Whether a normal form is of JSON, whose values are compared exactly. */
export const isJsonForm = (form: string): boolean => form.startsWith('{') || form.startsWith('[')

function withoutFence(text: string): string {
  const fenced = /^```[\w+-]*\n([\s\S]*?)\n?```$/.exec(text)
  return fenced?.[1]?.trim() ?? text
}

/** Objects and lists only: what a bare word or number is in JSON, it is in text. */
function canonicalJson(text: string): string | undefined {
  if (!/^[[{]/.test(text)) return undefined
  try {
    return JSON.stringify(sorted(JSON.parse(text)))
  } catch {
    return undefined
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([name, inner]): [string, unknown] => [name, sorted(inner)])
  return Object.fromEntries(entries.sort(([one], [other]) => (one < other ? -1 : 1)))
}

const GROUPED = /(?<![\d.,])\d{1,3}(?:[,'\u2019_]\d{3})+(?![\d])/g
const DECIMAL = /(?<![\w.])(\d*)\.(\d+)(?!\d|\.\d)/g
const EXPONENT = /(?<![\w.])\d+(?:\.\d+)?e[+-]?\d{1,2}(?!\w|\.\d)/g

/** `1,000` is 1000, `42.0` is 42, `.5` is 0.5 and `1e3` is 1000. */
function plainNumbers(text: string): string {
  return text
    .replace(GROUPED, (digits) => digits.replace(/\D/g, ''))
    .replace(EXPONENT, plainExponent)
    .replace(DECIMAL, (_all, whole: string, fraction: string) => {
      const rest = fraction.replace(/0+$/, '')
      return (whole || '0') + (rest && `.${rest}`)
    })
    .replace(/(?<![\w)\]])\+(?=\d)/g, '')
}

function plainExponent(digits: string): string {
  const plain = String(Number(digits))
  return /^\d+(?:\.\d+)?$/.test(plain) ? plain : digits
}

/** Marks that say nothing where they stand before or behind a word. */
const BEFORE = /^[.,;:!?"'`*_\u2018\u2019\u201c\u201d\u00ab\u00bb\u2026¿¡([{]+/
const BEHIND = /[.,;:!?"'`*_\u2018\u2019\u201c\u201d\u00ab\u00bb\u2026)\]}]+$/
/** Brackets that belong to the word: `f(x)`, `a[0]`. */
const OPENED = /[([{]/
const CLOSED = /[)\]}]/

function withoutPunctuation(word: string): string {
  const marks = /^[.](?=\d)/.test(word) ? word : word.replace(BEFORE, (found) => keptBrackets(found, word))
  return marks.replace(BEHIND, (found) => (CLOSED.test(found) && OPENED.test(marks) ? closing(found) : ''))
}

/** `(a+b)*c` keeps its bracket, `(b)` and `(see` do not. */
const keptBrackets = (found: string, word: string): string =>
  OPENED.test(found) && /[)\]}][^)\]}.,;:!?"'`*_]/.test(word) ? (found.match(/[([{]+/g)?.join('') ?? '') : ''

const closing = (found: string): string => found.match(/[)\]}]+/g)?.join('') ?? ''

/** Every way to write a unit that is read; the first is the one that is kept. */
const UNITS: readonly (readonly [symbol: string, ...names: string[]])[] = [
  ['%', 'percent', 'pct'],
  ['$', 'usd', 'dollar', 'dollars', 'us$'],
  ['€', 'eur', 'euro', 'euros'],
  ['£', 'gbp', 'pounds sterling'],
  ['¥', 'yen', 'jpy'],
  ['°c', 'celsius', 'degrees celsius'],
  ['°f', 'fahrenheit', 'degrees fahrenheit'],
  ['°', 'degree', 'degrees'],
  ['km', 'kilometer', 'kilometers', 'kilometre', 'kilometres'],
  ['cm', 'centimeter', 'centimeters', 'centimetre', 'centimetres'],
  ['mm', 'millimeter', 'millimeters', 'millimetre', 'millimetres'],
  ['m', 'meter', 'meters', 'metre', 'metres'],
  ['mi', 'mile', 'miles'],
  ['ft', 'foot', 'feet'],
  ['in', 'inch', 'inches'],
  ['kg', 'kilogram', 'kilograms', 'kilo', 'kilos'],
  ['mg', 'milligram', 'milligrams'],
  ['g', 'gram', 'grams'],
  ['lb', 'lbs', 'pound', 'pounds'],
  ['l', 'liter', 'liters', 'litre', 'litres'],
  ['ml', 'milliliter', 'milliliters', 'millilitre', 'millilitres'],
  ['ms', 'millisecond', 'milliseconds'],
  ['s', 'sec', 'secs', 'second', 'seconds'],
  ['min', 'mins', 'minute', 'minutes'],
  ['h', 'hr', 'hrs', 'hour', 'hours'],
  ['kb', 'kilobyte', 'kilobytes'],
  ['mb', 'megabyte', 'megabytes'],
  ['gb', 'gigabyte', 'gigabytes'],
  ['km/h', 'kmh', 'kph'],
]
const symbolOf = new Map(UNITS.flatMap(([symbol, ...names]) => [symbol, ...names].map((name) => [name, symbol])))
const longestFirst = [...symbolOf.keys()].sort((one, other) => other.length - one.length)
const escaped = longestFirst.map((name) => name.replace(/[$/]/g, '\\$&')).join('|')
const BEFORE_NUMBER = /([$€£¥])\s*(-?\d[\d.]*)/g
const AFTER_NUMBER = new RegExp(`(\\d)\\s*(${escaped})(?![\\p{L}\\p{N}/])`, 'gu')

/** `$5`, `5 USD` and `5 dollars` are one; nothing is converted: 1 km is not 1000 m. */
const plainUnits = (text: string): string =>
  text
    .replace(BEFORE_NUMBER, '$2 $1')
    .replace(AFTER_NUMBER, (_all, digit: string, name: string) => `${digit} ${symbolOf.get(name) ?? name}`)

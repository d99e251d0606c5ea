/**
 * A text that a regular expression matches: literals, classes, groups, alternatives and quantifiers, the subset that
 * schema patterns use. Look-around and back-references are beyond it.
 */

type Node =
  | { kind: 'literal'; text: string }
  | { kind: 'sequence'; items: Node[] }
  | { kind: 'choice'; items: Node[] }
  | { kind: 'repeat'; item: Node; min: number; max: number }

type Cursor = { source: string; at: number }

const classSamples: Readonly<Record<string, string>> = { d: '0', w: 'a', s: ' ', D: 'a', W: '-', S: 'a' }
const controlEscapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', f: '\f', v: '\v', '0': '\0' }
/** Tried in this order when a class only says what is excluded. */
const candidates = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-.,:;/@#%&!?*+=~'

/**
 * A text that matches `pattern` with a length (in code points) within the bounds; undefined when none was found.
 *
 * @throws SyntaxError when the pattern is no regular expression.
 */
export function textForPattern(pattern: string, minLength: number, maxLength: number): string | undefined {
  const matcher = new RegExp(pattern, 'u')
  const tree = parseChoice({ source: pattern, at: 0 })
  const limit = Math.min(maxLength, minLength + 64)
  for (let extra = 0; extra <= limit; extra += 1) {
    const text = render(tree, { extra })
    const length = Array.from(text).length
    if (length >= minLength && length <= maxLength && matcher.test(text)) return text
  }
  // A pattern without anchors may be padded on either side.
  const core = render(tree, { extra: 0 })
  const padded = core + 'a'.repeat(Math.max(0, minLength - Array.from(core).length))
  return Array.from(padded).length <= maxLength && matcher.test(padded) ? padded : undefined
}

/** `extra` is how many repetitions beyond the minimum are still to be handed out, first come first served. */
function render(node: Node, budget: { extra: number }): string {
  switch (node.kind) {
    case 'literal':
      return node.text
    case 'sequence':
      return node.items.map((item) => render(item, budget)).join('')
    case 'choice':
      return node.items[0] ? render(node.items[0], budget) : ''
    case 'repeat': {
      const added = Math.min(budget.extra, node.max - node.min)
      budget.extra -= added
      let text = ''
      for (let count = 0; count < node.min + added; count += 1) text += render(node.item, budget)
      return text
    }
  }
}

function parseChoice(cursor: Cursor): Node {
  const items: Node[] = [parseSequence(cursor)]
  while (cursor.source[cursor.at] === '|') {
    cursor.at += 1
    items.push(parseSequence(cursor))
  }
  return { kind: 'choice', items }
}

function parseSequence(cursor: Cursor): Node {
  const items: Node[] = []
  while (cursor.at < cursor.source.length && cursor.source[cursor.at] !== '|' && cursor.source[cursor.at] !== ')') {
    items.push(parseQuantifier(cursor, parseAtom(cursor)))
  }
  return { kind: 'sequence', items }
}

function parseAtom(cursor: Cursor): Node {
  const character = String.fromCodePoint(cursor.source.codePointAt(cursor.at) ?? 0)
  cursor.at += character.length
  if (character === '^' || character === '$') return { kind: 'literal', text: '' }
  if (character === '.') return { kind: 'literal', text: 'a' }
  if (character === '[') return { kind: 'literal', text: parseClass(cursor) }
  if (character === '\\') return { kind: 'literal', text: parseEscape(cursor) }
  if (character !== '(') return { kind: 'literal', text: character }
  const prefix = /^\?(?::|<[^>=!][^>]*>)/.exec(cursor.source.slice(cursor.at))
  cursor.at += prefix ? prefix[0].length : 0
  const inner = parseChoice(cursor)
  cursor.at += 1
  return inner
}

function parseEscape(cursor: Cursor): string {
  const rest = cursor.source.slice(cursor.at)
  const code = /^(?:u\{([0-9a-f]+)\}|u([0-9a-f]{4})|x([0-9a-f]{2}))/i.exec(rest)
  if (code) {
    cursor.at += code[0].length
    return String.fromCodePoint(Number.parseInt(code[1] ?? code[2] ?? code[3] ?? '0', 16))
  }
  const property = /^[pP]\{([^}]*)\}/.exec(rest)
  if (property) {
    cursor.at += property[0].length
    return memberOf(new RegExp(`^\\${property[0]}$`, 'u'))
  }
  const letter = rest.charAt(0)
  cursor.at += 1
  if (letter === 'b' || letter === 'B') return ''
  return classSamples[letter] ?? controlEscapes[letter] ?? letter
}

function memberOf(test: RegExp): string {
  return Array.from(candidates).find((candidate) => test.test(candidate)) ?? ''
}

/** The engine itself decides membership, so ranges, escapes and negation need no parsing here. */
function parseClass(cursor: Cursor): string {
  const start = cursor.at - 1
  for (let escaped = false; cursor.at < cursor.source.length; cursor.at += 1) {
    const character = cursor.source[cursor.at]
    if (!escaped && character === ']') break
    escaped = !escaped && character === '\\'
  }
  cursor.at += 1
  const body = cursor.source.slice(start, cursor.at)
  const test = new RegExp(`^${body}$`, 'u')
  const found = memberOf(test)
  if (found !== '') return found
  const inner = Array.from(body.slice(1, -1)).find((character) => test.test(character))
  return inner ?? ''
}

function parseQuantifier(cursor: Cursor, item: Node): Node {
  const match = /^(?:([*+?])|\{(\d+)(,?)(\d*)\})\??/.exec(cursor.source.slice(cursor.at))
  if (!match) return item
  cursor.at += match[0].length
  if (match[1] === '*') return { kind: 'repeat', item, min: 0, max: Number.POSITIVE_INFINITY }
  if (match[1] === '+') return { kind: 'repeat', item, min: 1, max: Number.POSITIVE_INFINITY }
  if (match[1] === '?') return { kind: 'repeat', item, min: 0, max: 1 }
  const min = Number(match[2])
  const open = match[4] === '' ? Number.POSITIVE_INFINITY : Number(match[4])
  return { kind: 'repeat', item, min, max: match[3] === '' ? min : open }
}

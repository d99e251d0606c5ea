/** Common English words: each, with the space before it, is one token of the usual tokenizers. */
const words =
  'the of and to in is that for was on are with as be at one have this from or had by hot but some what there we can out other were all your when up use word how said an each she which do their time if will way about many then them would write like so these her long make thing see him two has look more day could go come did my sound no most number who over know water than call first people may down side been now find'
    .split(' ')
    .map((word) => ` ${word}`)
const openers = 'The It We This There When Many Some People First'.split(' ')
const sentenceLength = 12

/** Deterministic English: piece `index` of the text that belongs to `seed`; every piece is about one token. */
function pieceAt(seed: number, index: number): string {
  const place = index % sentenceLength
  const sentence = (index - place) / sentenceLength
  if (place === sentenceLength - 1) return '.'
  if (place === 0) return (index === 0 ? '' : ' ') + (openers[(seed + sentence) % openers.length] ?? '')
  return words[(seed + index * 7) % words.length] ?? ''
}

export const englishPieces = (seed: number, count: number): string[] =>
  Array.from({ length: count }, (_unused, index) => pieceAt(seed, index))

/** Cuts other text (JSON of an answer or of arguments) into pieces of about one token. */
export const piecesOf = (text: string): string[] => text.match(/ ?[A-Za-z]+|\d{1,3}|[^A-Za-z\d\s]{1,3}|\s+/g) ?? []

/** A small number from a text, the same for the same text (FNV-1a). */
export function seedOf(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash >>> 0
}

const isLetter = (code: number) => (code >= 97 && code <= 122) || (code >= 65 && code <= 90)
const isDigit = (code: number) => code >= 48 && code <= 57

/**
 * What this vendor says a text costs, near what a real tokenizer counts and cheap enough for benchmarks: a word is one
 * token for each begun ten letters, digits come three at a time, any other character except white space is one.
 */
export function countTokens(text: string): number {
  let tokens = 0
  let run = 0
  let inLetters = false
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index)
    const letter = isLetter(code)
    if (letter || isDigit(code)) {
      if (run === 0 || letter !== inLetters) run = 0
      inLetters = letter
      if (run % (letter ? 10 : 3) === 0) tokens += 1
      run += 1
    } else {
      run = 0
      if (code > 32) tokens += 1
    }
  }
  return tokens
}

import { languageOf } from './language.ts'
import { splitSentences, splitWords } from './sentences.ts'

/** How good a text is by its form alone, each 0 to 1; null where it is too short to tell. */
export type TextQuality = {
  readability: number
  coherence: number | null
  informativeness: number
  structure: number
}

const PARTS = ['coherence', 'readability', 'informativeness', 'structure'] as const

/** What each part weighs in the whole; of a text without a reference no more can be measured. */
const WEIGHTS: Readonly<Record<keyof TextQuality, number>> = {
  coherence: 0.15,
  readability: 0.1,
  informativeness: 0.05,
  structure: 0.05,
}

/** The parts of a text's quality that are in the text itself. */
export function qualityOf(text: string): TextQuality {
  const sentences = splitSentences(text)
  const words = splitWords(text)
  return {
    readability: readabilityOf(text, sentences.length, words),
    coherence: coherenceOf(sentences),
    informativeness: informativenessOf(words),
    structure: structureOf(text),
  }
}

/** The parts together, by weight. */
export function overallQuality({ coherence, ...always }: TextQuality): number {
  const parts = { ...always, ...(coherence !== null && { coherence }) }
  let [sum, weights] = [0, 0]
  for (const part of PARTS) {
    const value = parts[part]
    if (value === undefined) continue
    sum += value * WEIGHTS[part]
    weights += WEIGHTS[part]
  }
  return sum / weights
}

const share = (value: number): number => Math.min(1, Math.max(0, value))

type Ease = readonly [base: number, perWord: number, perSyllable: number]
const ENGLISH: Ease = [206.835, 1.015, 84.6]

/** Flesch's reading ease as it was adapted: Amstad, Kandel and Moles, Fernández Huerta, Franchina and Vacca, Douma, Martins. */
const EASES: Readonly<Record<string, Ease>> = {
  german: [180, 1, 58.5],
  french: [207, 1.015, 73.6],
  spanish: [206.84, 1.02, 60],
  italian: [217, 1.3, 60],
  dutch: [206.84, 0.93, 77],
  portuguese: [248.835, 1.015, 84.6],
}

/** Reading ease, 0 to 100, as a share: long sentences and long words make a text hard to read. */
function readabilityOf(text: string, sentences: number, words: readonly string[]): number {
  if (words.length === 0) return 0
  const [base, perWord, perSyllable] = EASES[languageOf(text)] ?? ENGLISH
  const syllables = words.reduce((sum, word) => sum + syllablesOf(word), 0)
  const ease = base - perWord * (words.length / Math.max(1, sentences)) - perSyllable * (syllables / words.length)
  return share(ease / 100)
}

/** Runs of vowels, and at least one; in other scripts than the Latin one, one for every three letters. */
const syllablesOf = (word: string): number =>
  /\p{Script=Latin}/u.test(word)
    ? Math.max(1, word.match(/[aeiouyàâäæáãåèéêëìíîïòóôöõøùúûüœ]+/g)?.length ?? 1)
    : Math.ceil(word.length / 3)

/** Words of so many letters say what a text is about; shorter ones hold it together. */
const CONTENT_LETTERS = 4
const contentWords = (words: readonly string[]): Set<string> =>
  new Set(words.filter((word) => word.length >= CONTENT_LETTERS || /\p{Script=Han}/u.test(word)))

/** Neighbours that have more in common repeat each other. */
const REPEATING = 0.8

/** The share of neighbouring sentences that speak of the same without repeating each other. */
function coherenceOf(sentences: readonly string[]): number | null {
  if (sentences.length < 2) return null
  const contents = sentences.map((sentence) => contentWords(splitWords(sentence)))
  let linked = 0
  for (const [at, own] of contents.entries()) {
    const before = contents[at - 1]
    if (!before) continue
    const common = [...own].filter((word) => before.has(word)).length
    const overlap = common / Math.max(1, Math.min(own.size, before.size))
    linked += overlap > REPEATING ? 0 : overlap > 0 ? 1 : 0.5
  }
  return linked / (sentences.length - 1)
}

/** So many different words of a hundred are as many as texts have. */
const RICH = 60
/** Of longer texts, hundreds of words are looked at one after another: every text repeats itself in the long run. */
const STRETCH = 100

function informativenessOf(words: readonly string[]): number {
  if (words.length === 0) return 0
  let sum = 0
  for (let from = 0; from < words.length; from += STRETCH) {
    const stretch = words.slice(from, from + STRETCH)
    // A few words are all different, and still do not say much.
    sum += contentWords(stretch).size * (stretch.length / STRETCH)
  }
  return share(sum / (words.length / STRETCH) / RICH)
}

const LONG_PARAGRAPH = 1200
const LONG_TEXT = 2000

/** Paragraphs that are not too long, and in a long text headings or lists. */
function structureOf(text: string): number {
  const paragraphs = text.split(/\n\s*\n/).filter((paragraph) => paragraph.trim() !== '')
  if (paragraphs.length === 0) return 0
  const short = paragraphs.filter(({ length }) => length <= LONG_PARAGRAPH).length / paragraphs.length
  if (text.length <= LONG_TEXT) return short
  const isMarked = /^ {0,3}(?:#{1,6} |[-*+] |\d{1,3}[.)] )/m.test(text)
  return (short + (isMarked ? 1 : 0)) / 2
}

/**
 * Languages whose words Postgres takes back to their stems, and words that tell them: common, and few of them shared.
 * Texts of any other language are searched by whole words.
 */
const WORDS: Readonly<Record<string, string>> = {
  english: 'the and of to is in that it for was with this are not have you from which were what how when been their',
  german: 'der die und das nicht ist ein eine mit von zu den auf für dem sich auch als wird sind oder werden wie bei',
  french: 'le les et des est une dans pour que qui pas sur avec plus par nous vous sont cette aux mais leur être du',
  spanish: 'el los las que y una es por con para del se no más como pero su este esta son muy también cuando hay',
  italian: 'il di che è la una per non sono con gli della nel anche più come questo alla dei delle ma ha si essere',
  portuguese: 'o os que não uma é para com dos das por mais como mas foi ao são seu sua você também quando pela em',
  dutch: 'het een van en niet dat is op te zijn voor met die aan ook wordt bij worden naar deze maar er als om',
  danish: 'og er det ikke til af en på som med for den har de blev også jeg være kan efter eller fra ved hvor',
  swedish: 'och är det inte att som en på för med den till av har ett om de också jag vara kan eller från efter när',
  norwegian: 'og er det ikke til av en på som med for den har også jeg være kan etter eller fra ved hvor blir ble',
  finnish: 'ja on ei se että oli mutta kuin hän ovat myös niin joka mitä tämä sen voi ole kun jos tai vain sitä',
  hungarian: 'a az és hogy nem egy is van volt ez meg de csak mint már még kell lehet vagy azt ha ezt nagyon sem',
  romanian: 'și nu este în care cu pe la un o de din mai pentru sunt să au fost această sau după între fi prin',
  turkish: 've bir bu için ile olarak da de ne gibi daha çok en olan değil var mi ama sonra kadar her ki ise',
}

/** Of these a script tells the language well enough. */
const SCRIPTS: readonly (readonly [language: string, script: RegExp])[] = [
  ['russian', /\p{Script=Cyrillic}/gu],
  ['greek', /\p{Script=Greek}/gu],
  ['arabic', /\p{Script=Arabic}/gu],
  ['armenian', /\p{Script=Armenian}/gu],
  ['hindi', /\p{Script=Devanagari}/gu],
  ['tamil', /\p{Script=Tamil}/gu],
]

/** By its words alone: what no other configuration fits. */
export const ANY_LANGUAGE = 'simple'
/** Configurations of Postgres' text search that rows may have; servers since 14 have all of them. */
export const LANGUAGES: readonly string[] = [
  ...Object.keys(WORDS),
  ...SCRIPTS.map(([language]) => language),
  ANY_LANGUAGE,
]

/** So much of a text is looked at. */
const SAMPLE = 4000
/** A text of which a smaller share are words of a language is not taken for one of it. */
const LEAST_SHARE = 0.12
const LEAST_WORDS = 2

const languagesOf = new Map<string, string[]>()
for (const [language, words] of Object.entries(WORDS)) {
  for (const word of words.split(' ')) languagesOf.set(word, [...(languagesOf.get(word) ?? []), language])
}

/** The configuration of Postgres' text search that fits a text best; `simple` where none does. */
export function languageOf(text: string): string {
  const sample = text.slice(0, SAMPLE)
  const letters = count(sample, /\p{L}/gu)
  if (letters === 0) return ANY_LANGUAGE
  const byScript = SCRIPTS.find(([, script]) => count(sample, script) > letters / 2)
  if (byScript) return byScript[0]
  const words = sample.toLowerCase().match(/\p{L}+/gu) ?? []
  const found = new Map<string, number>()
  for (const word of words) {
    for (const language of languagesOf.get(word) ?? []) found.set(language, (found.get(language) ?? 0) + 1)
  }
  const [best] = [...found].sort(([, one], [, other]) => other - one)
  if (!best || best[1] < LEAST_WORDS || best[1] < words.length * LEAST_SHARE) return ANY_LANGUAGE
  return best[0]
}

const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0

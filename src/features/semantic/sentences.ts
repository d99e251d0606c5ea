const WORD = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}]+(?:['’][\p{L}]+)?/gu
const SENTENCE_END = /(?<=[.!?])\s+|(?<=[。！？])|\n\s*\n/u

/** In lower case; signs of scripts that put no space between words count as words. */
export const splitWords = (text: string): string[] => text.toLowerCase().match(WORD) ?? []

/** What ends at a full stop, or with its paragraph, and has a word. */
export const splitSentences = (text: string): string[] =>
  text.split(SENTENCE_END).filter((sentence) => /[\p{L}\p{N}]/u.test(sentence))

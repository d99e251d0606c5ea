/**
 * Token counts without a tokenizer. `estimateTokens` is for limits and for rows marked as estimated; `byteBound` is a
 * proof: a byte-level tokenizer never makes more tokens than there are bytes.
 */

/** Words, numbers, runs of other signs and of spaces, as byte-pair tokenizers split before they merge. */
const PIECES =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}]|\p{L}+|\p{N}{1,3}|[^\s\p{L}\p{N}]{1,3}|\s*\n|\s{2,}/gu
/** Longer Latin words are usually two tokens or more. */
const WORD_CHARS = 8
const OTHER_SCRIPT_CHARS = 3

export function estimateTokens(text: string): number {
  let tokens = 0
  for (const [piece] of text.matchAll(PIECES)) {
    if (piece.length <= OTHER_SCRIPT_CHARS) tokens += 1
    else if (/^[a-z]/i.test(piece)) tokens += Math.ceil(piece.length / WORD_CHARS)
    else tokens += Math.ceil(piece.length / OTHER_SCRIPT_CHARS)
  }
  return tokens
}

/** Cheap and rough, for limits that are corrected later: four characters a token. */
export const roughTokens = (characters: number): number => Math.ceil(characters / 4)

export const byteBound = (text: string): number => Buffer.byteLength(text, 'utf8')

/** Splits text the way a tokenizer does: short runs, each with its leading space. Joined again they are the text. */
export function splitPieces(text: string): string[] {
  return text.match(/ ?[^\s]{1,6}|\s/gu) ?? []
}

/** One piece is one token, so a text counts the same as a prompt and as an answer. */
export function countTokens(text: string): number {
  return splitPieces(text).length
}

/** FNV-1a, 32 bits. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  return hash >>> 0
}

/** Numbers that stand for token ids (the deprecated `context` of generate). */
export function tokenIds(text: string): number[] {
  return splitPieces(text).map((piece) => hashText(piece) % 128_000)
}

/** The text up to the first stop sequence. */
export function cutAtStop(text: string, stops: readonly string[]): string {
  let end = text.length
  for (const stop of stops) {
    const at = stop === '' ? -1 : text.indexOf(stop)
    if (at >= 0 && at < end) end = at
  }
  return text.slice(0, end)
}

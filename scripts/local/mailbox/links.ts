const ADDRESS = /https?:\/\/[^\s<>"'`]+/g
/** Ends a sentence or a bracket around an address more often than the address itself. */
const TRAILING = /[.,;:!?)\]}]+$/

export type Piece = { kind: 'text' | 'link'; text: string }

/** A text cut at its http(s) addresses; the pieces together are the text. */
export function splitAtLinks(text: string): Piece[] {
  const pieces: Piece[] = []
  let done = 0
  for (const { 0: match, index } of text.matchAll(ADDRESS)) {
    const link = match.replace(TRAILING, '')
    if (!URL.canParse(link)) continue
    pieces.push({ kind: 'text', text: text.slice(done, index) }, { kind: 'link', text: link })
    done = index + link.length
  }
  pieces.push({ kind: 'text', text: text.slice(done) })
  return pieces.filter((piece) => piece.text !== '')
}

export const linksOf = (text: string): string[] =>
  splitAtLinks(text).flatMap((piece) => (piece.kind === 'link' ? [piece.text] : []))

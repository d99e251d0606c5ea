/** Longer headings are shortened where they are carried with the pieces under them. */
const MAX_HEADING = 200
/** A heading of Markdown (`## Title ##`), or a line that opens or closes a block of code. */
const LINE = /^ {0,3}(?:(#{1,6})[ \t]+(\S.*)|(`{3,}|~{3,}).*)$/gm

type Heading = { at: number; level: number; title: string }

/**
 * The headings of a Markdown text above a place, the widest first. To be asked for places in order. A text without
 * headings has none anywhere.
 */
export function headingsOf(text: string): (at: number) => readonly string[] {
  const headings = text.includes('#') ? findHeadings(text) : []
  let next = 0
  let open: Heading[] = []
  let path: readonly string[] = []
  return (at) => {
    for (let heading = headings[next]; heading && heading.at <= at; heading = headings[next]) {
      const { level } = heading
      open = [...open.filter((outer) => outer.level < level), heading]
      path = open.map(({ title }) => title)
      next += 1
    }
    return path
  }
}

/** `Title ##` without what closes it. A pattern would begin anew at each of many spaces. */
function withoutClosingHashes(title: string): string {
  const whole = title.trim()
  let end = whole.length
  while (whole[end - 1] === '#') end -= 1
  const isClosed = end < whole.length && (whole[end - 1] === ' ' || whole[end - 1] === '\t')
  return isClosed ? whole.slice(0, end).trim() : whole
}

function findHeadings(text: string): Heading[] {
  const found: Heading[] = []
  let fence: string | undefined
  for (const match of text.matchAll(LINE)) {
    const [, hashes, title = '', mark] = match
    if (mark !== undefined) {
      if (fence === undefined) fence = mark
      else if (mark.startsWith(fence)) fence = undefined
    } else if (fence === undefined && hashes !== undefined) {
      const plain = withoutClosingHashes(title).slice(0, MAX_HEADING).toWellFormed()
      found.push({ at: match.index, level: hashes.length, title: plain })
    }
  }
  return found
}

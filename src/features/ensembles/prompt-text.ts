import type { ChatMessage } from '../../core/models.ts'

/** The most of one answer that other models are shown, in bytes. */
const MOST_SHOWN_BYTES = 16_000
/** Where an answer has a limit of tokens: hardly any text has more bytes a token. */
const BYTES_PER_TOKEN = 8

/** How many bytes of an answer are shown that has so many tokens at the most. */
export const shownBytes = (mostTokens: number): number => Math.min(MOST_SHOWN_BYTES, mostTokens * BYTES_PER_TOKEN)

/** The beginning of a text, in no more bytes than that. */
export function cutToBytes(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text
  // A character that was cut in two is left out.
  return new TextDecoder().decode(Buffer.from(text).subarray(0, bytes), { stream: true })
}

/** Whatever a model could take for the beginning or the end of an answer, or of the conversation. */
const MARK = /<(?=\s*\/?\s*(?:answer|conversation))/gi
const withoutMarks = (text: string): string => text.replaceAll(MARK, '< ')

/** A conversation in words; what is no text is named only. */
export const conversationText = (messages: readonly ChatMessage[]): string =>
  messages.map(({ role, content }) => `${role}: ${withoutMarks(contentText(content))}`).join('\n\n')

function contentText(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content
    .map((part: { type?: unknown; text?: unknown } | null) =>
      typeof part?.text === 'string' ? part.text : `[${String(part?.type ?? 'nothing')}]`,
    )
    .join('\n')
}

/** Answers by number, in marks that nothing in them can close. */
export const answersText = (texts: readonly string[], bytes: number): string =>
  texts
    .map((text, at) => {
      const shown = cutToBytes(withoutMarks(text), bytes)
      return `<answer number="${at + 1}">\n${shown}\n</answer>`
    })
    .join('\n\n')

/** The first JSON object in what a model wrote; undefined where there is none. */
export function jsonIn(text: string): unknown {
  const [from, to] = [text.indexOf('{'), text.lastIndexOf('}')]
  if (from === -1 || to < from) return undefined
  try {
    return JSON.parse(text.slice(from, to + 1))
  } catch {
    return undefined
  }
}

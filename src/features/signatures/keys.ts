import type { ChatMessage } from '../../core/models.ts'
import { textOf, type Written } from './message.ts'

/** A digest of texts, no two different lists of which run into the same one. */
export async function digestOf(...texts: readonly string[]): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(texts))
  return Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('base64url')
}

/**
 * <org>:signed:<digest>    string  what a model signed of one message, sealed; a day after it was last asked for
 *
 * The digest is of the organisation and of what every client sends back, whoever the caller is: the id of the
 * message's first call, or, where nothing was called, its text and what it answers. Undefined for a message of which
 * neither is known.
 */
export async function keyOf(
  orgId: string,
  { calls: [first], text }: Pick<Written, 'calls' | 'text'>,
  answered: ChatMessage | undefined,
): Promise<string | undefined> {
  if (first ? first.id === '' : text === '') return undefined
  const about = first ? ['call', first.id] : ['text', text, answered ? textOf(answered) : '']
  return `${orgId}:signed:${await digestOf(orgId, ...about)}`
}

import type { ChatMessage } from '../../core/models.ts'
import { digestOf } from './keys.ts'
import {
  isFields,
  isSigned,
  listOf,
  type Written,
  type WrittenCall,
  withThoughtSignature,
  writtenIn,
} from './message.ts'

/**
 * What a model signed of a message of its own. A thought signature belongs to one call or text, of which it has the
 * digest: with a call that was changed since the vendor would refuse it.
 */
export type Signed = {
  /** Who signed it, and alone can read it. */
  by: string
  thinking: readonly unknown[]
  calls: readonly { id: string; digest: string; signature: string }[]
  text?: { digest: string; signature: string }
  /** Reasoning that its vendor wants back beside the calls, and nobody signs. */
  reasoning?: string
}

/** What is signed of a message; undefined when nothing is. */
export async function signedIn(written: Written, by: string): Promise<Signed | undefined> {
  const { thinking, text, signature, reasoning } = written
  if (!isSigned(written) && reasoning === '') return undefined
  const calls = written.calls.flatMap((call) =>
    call.signature === undefined ? [] : [{ call, signature: call.signature }],
  )
  return {
    by,
    thinking,
    calls: await Promise.all(
      calls.map(async ({ call, signature }) => ({ id: call.id, digest: await digestOfCall(call), signature })),
    ),
    ...(signature !== undefined && { text: { digest: await digestOf(text), signature } }),
    ...(reasoning !== '' && { reasoning }),
  }
}

/** A message with what was signed of it, as far as it is still the same; undefined when none of that fits it. */
export async function signAgain(message: ChatMessage, signed: Signed): Promise<ChatMessage | undefined> {
  const { text, calls } = writtenIn(message)
  const again = listOf(message.tool_calls).slice()
  let isChanged = false
  for (const [position, call] of calls.entries()) {
    const kept = signed.calls.find(({ id }) => id === call.id)
    const given = again[position]
    if (!kept || !isFields(given) || kept.digest !== (await digestOfCall(call))) continue
    again[position] = withThoughtSignature(given, kept.signature)
    isChanged = true
  }
  const hasThoughts = signed.thinking.length > 0
  const isText = signed.text !== undefined && signed.text.digest === (await digestOf(text))
  const lacksReasoning = signed.reasoning !== undefined && !message.reasoning_content
  if (!isChanged && !hasThoughts && !isText && !lacksReasoning) return undefined
  const whole: ChatMessage = {
    ...message,
    ...(hasThoughts && { thinking_blocks: signed.thinking }),
    ...(isChanged && { tool_calls: again }),
    ...(lacksReasoning && { reasoning_content: signed.reasoning }),
  }
  return isText && signed.text ? withThoughtSignature(whole, signed.text.signature) : whole
}

const digestOfCall = ({ name, input }: WrittenCall): Promise<string> => digestOf(name, canonical(input))

/** Clients that parse the arguments of a call write them anew, with other spaces and in another order. */
function canonical(input: string): string {
  try {
    return JSON.stringify(JSON.parse(input), (_name, value: unknown) =>
      isFields(value)
        ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
        : value,
    )
  } catch {
    return input
  }
}

export const textOfSigned = (signed: Signed): string => JSON.stringify(signed)

/** What was written by `textOfSigned`; undefined for anything else, such as what a later release has written. */
export function signedFrom(text: string): Signed | undefined {
  const given: unknown = JSON.parse(text)
  if (!isFields(given) || typeof given.by !== 'string') return undefined
  const { by, text: ofText, reasoning } = given
  return {
    by,
    thinking: listOf(given.thinking),
    calls: listOf(given.calls).filter(isCall),
    ...(isMark(ofText) && { text: ofText }),
    ...(typeof reasoning === 'string' && { reasoning }),
  }
}

const isMark = (value: unknown): value is { digest: string; signature: string } =>
  isFields(value) && typeof value.digest === 'string' && typeof value.signature === 'string'

const isCall = (value: unknown): value is Signed['calls'][number] =>
  isMark(value) && 'id' in value && typeof value.id === 'string'

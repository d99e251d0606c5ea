import type { ChunkChoice, StreamPart } from '../../core/models.ts'
import { callIn, listOf, thoughtSignatureIn, type Written, type WrittenCall } from './message.ts'

/** Puts together what the choices of a stream write. */
export type Collector = {
  /** Choices that ended with these parts, as far as they have signed anything. */
  take(parts: readonly StreamPart[]): Written[]
}

type Choice = {
  calls: Map<number, WrittenCall>
  thinking: unknown[]
  text: string
  reasoning: string
  signature: string | undefined
}

/** Texts and reasoning are kept as long as the stream lasts, if they are wanted at all. */
export function createCollector({ texts, reasoning }: { texts: boolean; reasoning: boolean }): Collector {
  const choices = new Map<number, Choice>()

  const choiceAt = (index: number): Choice => {
    const known = choices.get(index)
    if (known) return known
    const choice: Choice = { calls: new Map(), thinking: [], text: '', reasoning: '', signature: undefined }
    choices.set(index, choice)
    return choice
  }

  const add = ({ index, delta }: ChunkChoice): void => {
    const choice = choiceAt(index)
    if (texts && delta.content) choice.text += delta.content
    if (reasoning && delta.reasoning_content) choice.reasoning += delta.reasoning_content
    if (delta.thinking_blocks) choice.thinking.push(...listOf(delta.thinking_blocks))
    if (delta.extra_content) choice.signature = thoughtSignatureIn(delta) ?? choice.signature
    for (const piece of delta.tool_calls ?? []) {
      const before = choice.calls.get(piece.index)
      choice.calls.set(piece.index, before ? joined(before, callIn(piece)) : callIn(piece))
    }
  }

  const end = (index: number): Written => {
    const { calls, ...written } = choiceAt(index)
    choices.delete(index)
    const inOrder = [...calls].sort(([one], [other]) => one - other)
    return { ...written, calls: inOrder.map(([, call]) => call) }
  }

  return {
    take: (parts) =>
      parts.flatMap(({ chunk }) =>
        chunk.choices.flatMap((choice) => {
          add(choice)
          return choice.finish_reason ? [end(choice.index)] : []
        }),
      ),
  }
}

const joined = (before: WrittenCall, piece: WrittenCall): WrittenCall => ({
  id: before.id || piece.id,
  name: before.name || piece.name,
  input: before.input + piece.input,
  signature: piece.signature ?? before.signature,
})

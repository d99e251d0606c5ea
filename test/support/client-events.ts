import type { ChatChunk, WireUsage } from '../../src/core/models.ts'

export type ClientChunk = ChatChunk & { error?: { message: string; type: string; code: string | null } }

/** What a client of a stream has read, taken apart without any code of the gateway. */
export type ClientStream = {
  status: number
  /** The error of an answer that is no stream. */
  refusal: { message: string; code: string | null } | undefined
  /** Every `data:` event before `[DONE]`, in order. */
  chunks: readonly ClientChunk[]
  comments: number
  /** `[DONE]` was the last event. */
  done: boolean
  text: string
  reasoning: string
  /** Finish reasons of each choice, all that came. */
  finish: Readonly<Record<number, readonly string[]>>
  usages: readonly WireUsage[]
  errors: readonly NonNullable<ClientChunk['error']>[]
}

/** Reads a response to its end. Throws when the bytes are not an event stream, or go on after their end. */
export async function readClient(response: Response): Promise<ClientStream> {
  const text = await response.text()
  if (response.status !== 200) return { ...takeApart([]), status: response.status, refusal: JSON.parse(text).error }
  return readChunks(text)
}

/** The same of the text of a response that began well. */
export const readChunks = (text: string): ClientStream => ({ ...takeApart(blocksOf(text)), status: 200 })

function blocksOf(text: string): string[] {
  if (text !== '' && !text.endsWith('\n\n')) throw new Error(`the stream ends inside an event: ${text.slice(-80)}`)
  return text.split('\n\n').slice(0, -1)
}

/** `data` of one event: its lines joined, the one space after the colon taken off. */
function dataOf(block: string): string {
  const lines = block.split('\n')
  if (!lines.every((line) => line.startsWith('data: '))) throw new Error(`not an event: ${block.slice(0, 80)}`)
  return lines.map((line) => line.slice('data: '.length)).join('\n')
}

function takeApart(blocks: readonly string[]): ClientStream {
  const comments = blocks.filter((block) => block.startsWith(':'))
  const events = blocks.filter((block) => !block.startsWith(':')).map(dataOf)
  const done = events.at(-1) === '[DONE]'
  const chunks: ClientChunk[] = (done ? events.slice(0, -1) : events).map((event) => JSON.parse(event))
  const choices = chunks.flatMap((chunk) => chunk.choices)
  const finish: Record<number, string[]> = {}
  for (const { index, finish_reason: reason } of choices) if (reason) finish[index] = [...(finish[index] ?? []), reason]
  return {
    status: 200,
    refusal: undefined,
    chunks,
    comments: comments.length,
    done,
    text: choices.map(({ delta, text }) => (typeof text === 'string' ? text : (delta?.content ?? ''))).join(''),
    reasoning: choices.map(({ delta }) => delta?.reasoning_content ?? '').join(''),
    finish,
    usages: chunks.flatMap(({ usage }) => (usage ? [usage] : [])),
    errors: chunks.flatMap(({ error }) => (error ? [error] : [])),
  }
}

import { readChunks } from '../support/client-events.ts'
import { messageEvents, readMessage } from '../support/message-events.ts'
import { readResponse } from './surfaces/responses.ts'
import { fieldsOf, type Surface } from './surfaces/surface.ts'

export type Refusal = { message: string; type: string }

const worded = (error: unknown): Refusal => {
  const { message, type } = fieldsOf(error)
  if (typeof message !== 'string' || message === '') throw new Error(`no words: ${JSON.stringify(error)}`)
  if (typeof type !== 'string' || type === '') throw new Error(`no type: ${JSON.stringify(error)}`)
  return { message, type }
}

/** The error of an answer that has become none, in the words of its interface. Throws when it is not told properly. */
export function refusalIn(surface: Surface, { status, text }: { status: number; text: string }): Refusal {
  if (status < 400 || status > 599) throw new Error(`status ${status}`)
  const body = fieldsOf(JSON.parse(text))
  if (surface.name === 'messages' && body.type !== 'error') throw new Error(`not in Anthropic's words: ${text}`)
  return worded(body.error)
}

/** The error that ends a stream. Throws when there is none, when something follows it, or when it looks like an end. */
export function breakIn(surface: Surface, text: string): Refusal {
  if (surface.name === 'messages') {
    const { end, error } = readMessage(text)
    if (end !== 'failed' || messageEvents(text).at(-1)?.type !== 'error') throw new Error('no error at the end')
    return worded(error)
  }
  if (surface.name === 'responses') {
    const { type, response } = readResponse(text)
    if (type !== 'response.failed') throw new Error('no error at the end')
    const { code, message } = fieldsOf(response.error)
    return worded({ message, type: code })
  }
  const { chunks, done, errors, finish } = readChunks(text)
  if (done || errors.length !== 1 || chunks.at(-1)?.error === undefined) throw new Error('no error at the end')
  for (const reasons of Object.values(finish)) if (reasons.length > 1) throw new Error('a choice ends twice')
  return worded(errors[0])
}

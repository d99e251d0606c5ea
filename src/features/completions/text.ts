import type { Ctx } from '../../core/context.ts'
import type { ChatChunk, ChatCompletion } from '../../core/models.ts'
import { sseData } from '../../http/sse.ts'
import { wholeResponse } from '../../http/whole.ts'
import { complete } from './complete.ts'
import { type Asked, readRequest } from './request.ts'
import { lostOf, type TextRequest } from './text-schema.ts'

/** A text prompt as a conversation of one message. */
export function askedOfText(request: TextRequest): Asked {
  const { prompt, echo, suffix, best_of, logprobs, ...rest } = request
  const content = typeof prompt === 'string' ? prompt : prompt[0]
  return readRequest({ ...rest, messages: [{ role: 'user', content }] }, 'completion')
}

/** The legacy text endpoint, served by chat models: the same call, in the shape that old clients read. */
export async function completeText(ctx: Ctx, request: TextRequest): Promise<Response> {
  const echoed = request.echo ? (typeof request.prompt === 'string' ? request.prompt : request.prompt[0]) : ''
  const response = await complete(ctx, askedOfText(request), textShape(echoed))
  const headers = new Headers(response.headers)
  const ignored = lostOf(request)
  const known = headers.get('x-helix-ignored-params')
  if (ignored.length > 0) headers.set('x-helix-ignored-params', [known, ...ignored].filter(Boolean).join(','))
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
    return wholeResponse(JSON.stringify(textOf(await response.json(), echoed)), { headers })
  }
  return new Response(response.body, { headers })
}

function textOf(completion: ChatCompletion, echoed: string) {
  return {
    ...completion,
    id: textId(completion.id),
    object: 'text_completion',
    choices: completion.choices.map(({ index, message, finish_reason }) => ({
      text: echoed + (typeof message.content === 'string' ? message.content : ''),
      index,
      logprobs: null,
      finish_reason,
    })),
  }
}

const textId = (id = ''): string => id.replace(/^chatcmpl-/, 'cmpl-')

/** Our own events one by one in the other shape; comments and `[DONE]` as they are. */
function textShape(echoed: string): (events: string) => string {
  const echo = createEcho(echoed)
  const shaped = (event: string) => textEvent(event, echo)
  return (events) => events.split('\n\n').filter(Boolean).map(shaped).join('')
}

/** The prompt stands before the first text of each choice. */
function createEcho(echoed: string): (index: number) => string {
  const seen = new Set<number>()
  return (index) => {
    if (seen.has(index)) return ''
    seen.add(index)
    return echoed
  }
}

function textEvent(event: string, echo: (index: number) => string): string {
  if (!event.startsWith('data: {')) return `${event}\n\n`
  const chunk: ChatChunk = JSON.parse(event.slice('data: '.length))
  const choices = chunk.choices.map(({ index, delta, finish_reason }) => ({
    text: echo(index) + (delta.content ?? ''),
    index,
    logprobs: null,
    finish_reason: finish_reason ?? null,
  }))
  const says = choices.some(({ text, finish_reason }) => text !== '' || finish_reason !== null)
  if (!says && !chunk.usage && !chunk.error) return ''
  return sseData(JSON.stringify({ ...chunk, id: textId(chunk.id), object: 'text_completion', choices }))
}

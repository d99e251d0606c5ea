import type { Ctx } from '../../core/context.ts'
import type { ChatChunk, ChatCompletion } from '../../core/models.ts'
import { sseData } from '../../http/sse.ts'
import { complete } from './complete.ts'
import { openAiRendering, type Rendering } from './rendering.ts'
import { type Asked, readRequest } from './request.ts'
import { lostOf, type TextRequest } from './text-schema.ts'

/** A text prompt as a conversation of one message. */
export function askedOfText(request: TextRequest): Asked {
  const { prompt, echo, suffix, best_of, logprobs, ...rest } = request
  const content = typeof prompt === 'string' ? prompt : prompt[0]
  const asked = readRequest({ ...rest, messages: [{ role: 'user', content }] }, 'completion')
  return { ...asked, lost: lostOf(request) }
}

/** The legacy text endpoint, served by chat models: the same call, in the shape that old clients read. */
export function completeText(ctx: Ctx, request: TextRequest): Promise<Response> {
  const echoed = request.echo ? (typeof request.prompt === 'string' ? request.prompt : request.prompt[0]) : ''
  return complete(ctx, askedOfText(request), textRendering(echoed))
}

/** OpenAI's chat completions and chunks in the legacy shape. */
const textRendering = (echoed: string): Rendering => ({
  whole: (answer, counted) => textOf(openAiRendering.whole(answer, counted), echoed),
  stream(asked, open) {
    const writer = openAiRendering.stream(asked, open)
    const echo = createEcho(echoed)
    const shaped = (events: string) => {
      const texts = events.split('\n\n').filter(Boolean)
      return texts.map((event) => textEvent(event, echo)).join('')
    }
    return {
      ...writer,
      part: (part) => shaped(writer.part(part)),
      end: (how, booked) => shaped(writer.end(how, booked)),
      failure: (error) => shaped(writer.failure(error)),
    }
  },
})

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

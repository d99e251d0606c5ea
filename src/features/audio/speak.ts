import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { UpstreamError } from '../../core/models.ts'
import { sseHeaders } from '../../http/sse.ts'
import { type Answered, callNodes, type Heard } from './calling.ts'
import { choose } from './choosing.ts'
import { SYNC_TIMEOUT_MS } from './hear.ts'
import { createJoiner, isJoinable, type SpeechFormat, speechTypes } from './joining.ts'
import { pulled } from './pulled.ts'
import { normalised, spokenPieces } from './sentences.ts'
import type { Session } from './session.ts'

export type Speaking = {
  model: string
  input: string
  voice: string
  instructions?: string | undefined
  format: SpeechFormat
  speed: number
  isEvents: boolean
}

type Reader = ReadableStreamDefaultReader<Uint8Array>
/** The next bytes of the one file; undefined at its end. */
type Sound = () => Promise<readonly Uint8Array[] | undefined>

/**
 * A text as sound, piece by piece as it is made: the next piece is asked for when the one before has been read. Throws
 * `AppError` before the first byte; what breaks off later breaks the response off, for a file has no place for words.
 */
export async function speak(ctx: Ctx, speaking: Speaking): Promise<Response> {
  const text = normalised(speaking.input)
  if (text === '') {
    throw new AppError('invalid_request', 'There is nothing in input that could be said.', { param: 'input' })
  }
  const pieces = isJoinable(speaking.format) ? spokenPieces(text) : [text]
  const answered = await callNodes<Sound>(ctx, {
    chosen: await choose(ctx, 'speech', speaking.model),
    asked: speaking.model,
    capability: 'speech',
    operation: 'speech',
    isStream: true,
    timeoutMs: SYNC_TIMEOUT_MS,
    run: async (session, target) => {
      const ask = async (input: string): Promise<Reader> =>
        readerOf(session, await askFor(session, target, { ...speaking, input }))
      const [first = text, ...others] = pieces
      return soundOf(session, { first: await ask(first), others, ask, format: speaking.format })
    },
  }).catch((error: unknown) => {
    throw notSpoken(error, speaking)
  })
  const body = streamOf(ctx, answered, { isEvents: speaking.isEvents, characters: [...speaking.input].length })
  const headers = speaking.isEvents ? sseHeaders : { 'content-type': speechTypes[speaking.format] }
  return new Response(body, { headers: { ...answered.headers, ...headers } })
}

function askFor(session: Session, { server, model }: Heard, { input, voice, instructions, format, speed }: Speaking) {
  const fields = { model, input, voice, response_format: format, speed, ...(instructions && { instructions }) }
  return session.ask({
    server,
    method: 'POST',
    path: '/v1/audio/speech',
    headers: { 'content-type': 'application/json', accept: speechTypes[format] },
    body: JSON.stringify(fields),
  })
}

function readerOf({ provider }: Session, { body, headers }: Response): Reader {
  const type = headers.get('content-type') ?? ''
  if (body && !/json|html/i.test(type)) return body.getReader()
  throw new UpstreamError('garbage', `${provider.name} sent no sound.`)
}

type Pieces = { first: Reader; others: string[]; ask: (input: string) => Promise<Reader>; format: SpeechFormat }

function soundOf(session: Session, { first, others, ask, format }: Pieces): Sound {
  const joiner = createJoiner(format)
  let reader: Reader | undefined = first
  return async () => {
    while (reader) {
      const bytes = await session.read(reader)
      const parts = bytes ? joiner.take(bytes) : joiner.next()
      if (!bytes) {
        const next = others.shift()
        reader = next === undefined ? undefined : await ask(next)
      }
      if (parts.length > 0) return parts
    }
    return undefined
  }
}

/** What a server has no encoder for. */
function notSpoken(error: unknown, { format }: Speaking): unknown {
  const cause = error instanceof AppError ? error.cause : undefined
  if (!(cause instanceof UpstreamError) || cause.status !== 415) return error
  return new AppError('invalid_request', `The speech server cannot make ${format}.`, {
    param: 'response_format',
    cause,
  })
}

type How = { isEvents: boolean; characters: number }

const streamOf = (ctx: Ctx, answered: Answered<Sound>, { isEvents, characters }: How): ReadableStream<Uint8Array> =>
  pulled(ctx, {
    answered,
    facts: { characters },
    isEvents,
    next: async (read, write) => {
      const parts = await read()
      for (const part of parts ?? []) {
        if (isEvents) write.event({ type: 'speech.audio.delta', audio: Buffer.from(part).toString('base64') })
        else write.bytes(part)
      }
      if (!parts && isEvents) write.event({ type: 'speech.audio.done', usage: NO_TOKENS })
      return parts !== undefined
    },
  })

const NO_TOKENS = { input_tokens: 0, output_tokens: 0, total_tokens: 0 }

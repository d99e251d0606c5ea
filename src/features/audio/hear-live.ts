import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { UpstreamError } from '../../core/models.ts'
import { sseHeaders } from '../../http/sse.ts'
import { type Answered, callNodes } from './calling.ts'
import { createEventReader } from './events.ts'
import { capabilityOf, chosenFor, type Hearing, SYNC_TIMEOUT_MS, transcriptionOf } from './hear.ts'
import { pulled } from './pulled.ts'
import type { Session } from './session.ts'
import { SaidText } from './transcript.ts'

/** Of a server's stream: a piece of the text, all of it, or what went wrong. */
const Told = z.union([
  z.object({ type: z.literal('transcript.text.delta'), delta: SaidText }),
  z.object({ type: z.literal('transcript.text.done'), text: SaidText }),
  z.object({ error: z.unknown() }),
  // Older servers send a segment, or the text of one, as an object of its own.
  z.object({ text: SaidText }),
])

/** Four hours of the fastest speech have a twentieth of it. */
const MOST_CHARS = 8 * 1024 * 1024

/** What is read of a server: the next pieces of text; undefined at the end of a whole transcript. */
type Pieces = () => Promise<readonly string[] | undefined>

/**
 * What is said in a sound, as the server hears it: OpenAI's events. A server that does not stream is heard to its end,
 * and its text is one piece. Throws `AppError` before the first byte.
 */
export async function hearLive(ctx: Ctx, hearing: Hearing): Promise<Response> {
  const { given, model, task, timeoutMs = SYNC_TIMEOUT_MS, temperature, priority } = hearing
  const answered = await callNodes<Pieces>(ctx, {
    chosen: await chosenFor(ctx, hearing),
    asked: model ?? 'auto',
    ...capabilityOf(task),
    isStream: true,
    timeoutMs,
    priority,
    run: async (session, target) => {
      const form = { response_format: 'json', temperature, stream: true } as const
      return piecesOf(session, await session.ask(transcriptionOf(target, hearing, form)))
    },
  })
  const body = eventsOf(ctx, answered, given.sound.durationMs)
  return new Response(body, { headers: { ...answered.headers, ...sseHeaders } })
}

async function piecesOf(session: Session, response: Response): Promise<Pieces> {
  const isStream = /^text\/event-stream/i.test(response.headers.get('content-type') ?? '')
  const reader = response.body?.getReader()
  const events = createEventReader()
  const garbage = (): UpstreamError =>
    new UpstreamError('garbage', `${session.provider.name} sent something else than a transcript.`)
  if (!reader) throw garbage()
  const state = { isOpen: true, isOpenAi: false, isDone: false, text: '' }

  const take = (data: string): string[] => {
    if (data === '[DONE]') {
      state.isDone = true
      return []
    }
    const told = Told.safeParse(parsed(data))
    if (!told.success) throw garbage()
    if ('error' in told.data) throw new UpstreamError('reported', `${session.provider.name} reported an error.`)
    if ('type' in told.data) {
      state.isOpenAi = true
      if ('delta' in told.data) return [told.data.delta]
      state.isDone = true
      // Whoever was told nothing on the way is told everything at the end.
      return state.text === '' ? [told.data.text] : []
    }
    const { text } = told.data
    const needsBlank = state.text !== '' && !/\s$/.test(state.text) && !/^\s/.test(text)
    return [needsBlank ? ` ${text}` : text]
  }

  const whole: string[] = []
  let cameBytes = 0
  const decoder = new TextDecoder()
  const read = (bytes: Uint8Array): string[] => {
    if (isStream) return events.push(bytes)
    whole.push(decoder.decode(bytes, { stream: true }))
    cameBytes += bytes.byteLength
    if (cameBytes > MOST_CHARS) throw garbage()
    return []
  }

  return async () => {
    while (state.isOpen) {
      const bytes = await session.read(reader)
      if (!bytes) state.isOpen = false
      const told = bytes ? read(bytes) : isStream ? events.end() : [whole.join('') + decoder.decode()]
      const pieces: string[] = []
      for (const data of told) {
        for (const piece of take(data)) {
          state.text += piece
          if (state.text.length > MOST_CHARS) throw garbage()
          if (piece !== '') pieces.push(piece)
        }
      }
      if (pieces.length > 0) return pieces
    }
    if (state.isOpenAi && !state.isDone) throw new UpstreamError('cut', `${session.provider.name} broke off.`)
    return undefined
  }
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}

function eventsOf(ctx: Ctx, answered: Answered<Pieces>, audioMs: number | undefined): ReadableStream<Uint8Array> {
  let text = ''
  return pulled(ctx, {
    answered,
    facts: { audioMs },
    isEvents: true,
    next: async (read, write) => {
      const pieces = await read()
      for (const delta of pieces ?? []) {
        text += delta
        write.event({ type: 'transcript.text.delta', delta })
      }
      if (!pieces) write.event({ type: 'transcript.text.done', text: text.trim() })
      return pieces !== undefined
    },
    failed: (error, write) => write.event({ error: brokenOff(error) }),
  })
}

/** None of the node's own words. */
const brokenOff = (error: unknown) =>
  error instanceof UpstreamError && error.fault === 'timeout'
    ? { message: 'The node did not finish in time.', type: 'upstream_error', param: null, code: 'upstream_timeout' }
    : {
        message: 'The node broke off before its answer was complete.',
        type: 'upstream_error',
        param: null,
        code: 'provider_error',
      }

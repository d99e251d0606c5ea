import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { wholeResponse } from '../../http/whole.ts'
import { ignoredHeader } from '../routing/service.ts'
import { type Hearing, hear } from './hear.ts'
import { hearLive } from './hear-live.ts'
import { SpeechRequest, TranscriptionRequest, TranslationRequest } from './openai-schema.ts'
import { rendered } from './render.ts'
import { sha256Of } from './runs.ts'
import { soundIn } from './sound-input.ts'
import { speak } from './speak.ts'
import { confidenceOf } from './transcript.ts'

/** `POST /v1/audio/transcriptions`. */
export async function transcription(ctx: Ctx, body: TranscriptionRequest): Promise<Response> {
  const { model, language, timestamp_granularities, stream, response_format: format } = body
  const granularities = timestamp_granularities ?? []
  if (granularities.length > 0 && format !== 'verbose_json') {
    throw new AppError('invalid_request', 'timestamp_granularities needs response_format verbose_json.', {
      param: 'timestamp_granularities',
    })
  }
  const hearing: Hearing = {
    ...heardAs(body),
    task: 'transcribe',
    model,
    language: language ?? undefined,
    granularities,
  }
  const ignored = ignoredOf(body, TranscriptionRequest.shape)
  if (!stream) return answer(ctx, hearing, { format: format ?? 'json', ignored })
  const response = await hearLive(ctx, hearing)
  for (const [name, value] of Object.entries(ignored)) response.headers.set(name, value)
  return response
}

/** `POST /v1/audio/translations`. */
export const translation = (ctx: Ctx, body: TranslationRequest): Promise<Response> =>
  answer(
    ctx,
    { ...heardAs(body), task: 'translate', model: body.model },
    { format: body.response_format ?? 'json', ignored: ignoredOf(body, TranslationRequest.shape) },
  )

/** `POST /v1/audio/speech`. */
export async function speech(ctx: Ctx, body: SpeechRequest): Promise<Response> {
  const { model, input, voice, instructions, response_format: format, speed, stream_format } = body
  const response = await speak(ctx, {
    model,
    input,
    voice: typeof voice === 'string' ? voice : voice.id,
    instructions: instructions ?? undefined,
    format: format ?? 'mp3',
    speed: speed ?? 1,
    isEvents: stream_format === 'sse',
  })
  for (const [name, value] of Object.entries(ignoredOf(body, SpeechRequest.shape))) response.headers.set(name, value)
  return response
}

const heardAs = ({ file, prompt, temperature }: TranslationRequest) => ({
  given: soundIn(file),
  prompt: prompt || undefined,
  temperature: temperature ?? undefined,
})

const ignoredOf = (body: object, known: object): Record<string, string> =>
  ignoredHeader(Object.keys(body).filter((field) => !(field in known)))

type Wanted = { format: Parameters<typeof rendered>[1]; ignored: Record<string, string> }

async function answer(ctx: Ctx, hearing: Hearing, { format, ignored }: Wanted): Promise<Response> {
  const { given, task, granularities = [] } = hearing
  const sha256 = sha256Of(given)
  const answered = await hear(ctx, hearing)
  const { value: transcript, headers } = answered
  answered.finish({
    audioMs: transcript.durationMs,
    language: transcript.language,
    confidence: confidenceOf(transcript) ?? undefined,
    sha256: await sha256,
  })
  const { body, contentType } = rendered(transcript, format, { task, granularities })
  return wholeResponse(body, {
    headers: { ...headers, ...ignored, 'content-type': contentType, 'cache-control': 'no-store' },
  })
}

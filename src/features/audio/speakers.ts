import type * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { callWithin } from '../calls/service.ts'
import { type Answered, callNodes } from './calling.ts'
import { choose } from './choosing.ts'
import { confidenceOfVoices, Diarization, speakersOf, wordsByTurn } from './diarization.ts'
import { type Facts, summaryOf } from './facts.ts'
import { formBody } from './form.ts'
import { hear, SYNC_TIMEOUT_MS } from './hear.ts'
import { sha256Of } from './runs.ts'
import type { SpeakersBody, SpeakersView } from './schema.ts'
import { type GivenSound, namedSound } from './sound-input.ts'
import type { Word } from './transcript.ts'

type Wanted = { given: GivenSound; modelName?: string | undefined; count?: number | undefined }

/** Who speaks when, by a model that tells voices apart. Throws 503 `no_capable_model` where there is none. */
export async function diarized(ctx: Ctx, { given, modelName, count }: Wanted): Promise<Answered<Diarization>> {
  const answered = await callNodes(ctx, {
    chosen: await choose(ctx, 'diarization', modelName),
    asked: modelName ?? 'auto',
    capability: 'diarization',
    operation: 'audio_analysis',
    name: 'identify_speakers',
    timeoutMs: SYNC_TIMEOUT_MS,
    run: (session, { server, model }) => {
      const { contentType, ...sent } = formBody(given.file, { model, num_speakers: count?.toString() })
      const headers = { 'content-type': contentType, accept: 'application/json' }
      return session.askJson({ server, method: 'POST', path: '/v1/audio/diarizations', headers, ...sent }, Diarization)
    },
  })
  answered.finish({
    audioMs: answered.value.duration_ms,
    confidence: confidenceOfVoices(answered.value) ?? undefined,
    sha256: await sha256Of(given),
  })
  return answered
}

export async function identified(ctx: Ctx, body: SpeakersBody): Promise<z.input<typeof SpeakersView>> {
  const given = await namedSound(ctx, body)
  const { value, runId, target } = await diarized(ctx, { given, modelName: body.model_name, count: body.num_speakers })
  const words = body.transcribe ? await wordsOf(ctx, given) : undefined
  const said = words && wordsByTurn(value.segments, words)
  const speakers = speakersOf(value)
  const facts = factsOf(speakers, value.duration_ms)
  const summary = await summaryOf(ctx, facts, { about: 'who speaks in a recording', maxTokens: 800 })
  const confidence = confidenceOfVoices(value)
  return {
    id: runId,
    object: 'audio.speakers',
    speakers_identified: speakers.length,
    speakers,
    segments: value.segments.map((turn, at) => ({
      start_ms: Math.round(turn.start_ms),
      end_ms: Math.round(turn.end_ms),
      speaker: turn.speaker,
      ...(said && { text: said[at] ?? '' }),
    })),
    transcribed: words !== undefined,
    speaker_analysis: summary.text,
    analysis_source: summary.source,
    confidence,
    confidence_source: confidence === null ? null : 'calibrated',
    model: `${target.provider.name}/${target.model}`,
  }
}

/** Undefined where no model here writes down what is said: who speaks is known all the same. */
async function wordsOf(ctx: Ctx, given: GivenSound): Promise<readonly Word[] | undefined> {
  try {
    const within = callWithin(ctx)
    const { value, finish } = await hear(within, {
      given,
      model: undefined,
      task: 'transcribe',
      granularities: ['word'],
    })
    finish({ audioMs: value.durationMs, language: value.language })
    return value.words ?? value.segments?.map(({ text, start, end }) => ({ word: text, start, end }))
  } catch (error) {
    if (error instanceof AppError && error.code === 'no_capable_model') return undefined
    throw error
  }
}

/** One decimal is as much as anybody wants to read. */
const tenth = (value: number): string => String(Math.round(value * 10) / 10)

function factsOf(speakers: ReturnType<typeof speakersOf>, durationMs: number): Facts {
  const length = `The recording is ${tenth(durationMs / 1000)} seconds long.`
  if (speakers.length === 0) return [length, 'Nobody speaks in it.']
  const count = speakers.length === 1 ? 'There is 1 speaker.' : `There are ${speakers.length} speakers.`
  const each = speakers.map(
    ({ label, talk_seconds, share }) =>
      `${label} talks for ${tenth(talk_seconds)} seconds, ${Math.round(share * 100)} % of all that is said.`,
  )
  return [length, count, ...each]
}

import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { UpstreamError } from '../../core/models.ts'
import type { Priority } from '../../core/routing.ts'
import { callWithin } from '../calls/service.ts'
import type { Answered } from './calling.ts'
import { turnAt } from './diarization.ts'
import { hear } from './hear.ts'
import { measure } from './measures.ts'
import { sha256Of } from './runs.ts'
import type { TranscribeBody, TranscribeView } from './schema.ts'
import type { GivenSound } from './sound-input.ts'
import { diarized } from './speakers.ts'
import type { StoredSegment } from './table.ts'
import { confidenceOf, type Segment, spokenShare, type Transcript } from './transcript.ts'
import { keepTranscript, msOf } from './transcripts.ts'

export type Transcribing = Pick<
  TranscribeBody,
  'language' | 'model_name' | 'include_timestamps' | 'diarize' | 'store'
> & {
  given: GivenSound
  timeoutMs?: number
  priority?: Priority
  /** What a stored transcript is known by, where that must not change between attempts. */
  transcriptId?: string
  sourceId?: string
}

/** With less speech than that there is nothing to write down. */
const LEAST_SHARE = 0.02

/** What is said in a sound, how sure that is, and who says it. Throws `AppError`. */
export async function transcribed(ctx: Ctx, wanted: Transcribing): Promise<TranscribeView> {
  const { given, language, model_name: model, include_timestamps, diarize, store, timeoutMs, priority } = wanted
  const answered = await hear(ctx, {
    given,
    model,
    task: 'transcribe',
    language: language === 'auto' ? undefined : language,
    granularities: diarize || store ? ['word'] : [],
    timeoutMs,
    priority,
  })
  const { transcript, hasContent } = await checked(ctx, answered, given)
  const confidence = hasContent ? confidenceOf(transcript) : null
  answered.finish({
    audioMs: transcript.durationMs,
    language: transcript.language,
    confidence: confidence ?? undefined,
    sha256: await sha256Of(given),
  })
  const segments = await segmentsOf(ctx, { transcript, given, diarize: diarize && hasContent })
  const transcriptId = store ? (wanted.transcriptId ?? ctx.newId('trn')) : undefined
  if (transcriptId) {
    await keepTranscript(ctx, {
      id: transcriptId,
      transcript,
      segments: segments.map(stored),
      sourceId: wanted.sourceId,
    })
  }
  return {
    id: answered.runId,
    object: 'audio.transcription',
    transcription: transcript.text,
    language: transcript.language ?? (language === 'auto' ? null : language),
    has_content: hasContent,
    confidence,
    confidence_source: confidence === null ? null : 'logprob',
    ...((include_timestamps || diarize) && { segments: segments.map(shown) }),
    duration_seconds: transcript.durationMs === undefined ? null : transcript.durationMs / 1000,
    model: `${answered.target.provider.name}/${answered.target.model}`,
    ...(transcriptId && { transcript_id: transcriptId }),
    transcribed_at: nowSeconds(ctx),
  }
}

const NOTHING = { text: '', segments: [], words: [] }

/** What a model writes where nobody speaks is not what was said. */
async function checked(ctx: Ctx, { value, session, finish }: Answered<Transcript>, given: GivenSound) {
  if (value.text === '') return { transcript: { ...value, ...NOTHING }, hasContent: false }
  const measures = await measure(ctx, session, given).catch((error: unknown) => {
    finish({ error })
    if (!(error instanceof UpstreamError)) throw error
    throw new AppError('upstream_timeout', 'The node did not answer in time.', { cause: error })
  })
  const share = measures?.speech_share ?? spokenShare(value)
  const hasContent = share === undefined || share >= LEAST_SHARE
  return { transcript: hasContent ? value : { ...value, ...NOTHING }, hasContent }
}

type Spoken = Segment & { speaker?: string }
type Given = { transcript: Transcript; given: GivenSound; diarize: boolean }

async function segmentsOf(ctx: Ctx, { transcript, given, diarize }: Given): Promise<Spoken[]> {
  const segments = [...(transcript.segments ?? [])]
  if (!diarize) return segments
  const { value } = await diarized(callWithin(ctx), { given })
  return segments.map((segment) => {
    const at = turnAt(value.segments, { startMs: segment.start * 1000, endMs: segment.end * 1000 })
    const speaker = at === undefined ? undefined : value.segments[at]?.speaker
    return speaker === undefined ? segment : { ...segment, speaker }
  })
}

const shown = (segment: Spoken) => ({
  start_ms: msOf(segment.start),
  end_ms: msOf(segment.end),
  text: segment.text.trim(),
  ...(segment.speaker !== undefined && { speaker: segment.speaker }),
  confidence: confidenceOf({ segments: [segment] }),
})

const stored = ({ start, end, text, speaker, avg_logprob, no_speech_prob }: Spoken): StoredSegment => ({
  start_ms: msOf(start),
  end_ms: msOf(end),
  text: text.trim(),
  ...(speaker !== undefined && { speaker }),
  ...(typeof avg_logprob === 'number' && { avg_logprob }),
  ...(typeof no_speech_prob === 'number' && { no_speech_prob }),
})

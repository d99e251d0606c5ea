import type { Ctx } from '../../core/context.ts'
import { UpstreamError } from '../../core/models.ts'
import { type Answered, callNodes, type Heard } from './calling.ts'
import { choose } from './choosing.ts'
import { formBody } from './form.ts'
import { SYNC_TIMEOUT_MS } from './hear.ts'
import { Classified, type Probability, probabilities } from './labels.ts'
import { type Measures, measure } from './measures.ts'
import { sha256Of } from './runs.ts'
import type { Session } from './session.ts'
import type { GivenSound } from './sound-input.ts'

type Wanted = {
  given: GivenSound
  modelName?: string | undefined
  /** What the run is called. */
  name: string
  labels: readonly string[]
  perSegment?: boolean
  /** A second question to the same model. */
  also?: readonly string[]
}

type Segment = { start_ms: number; end_ms: number; found: Probability[] }

export type Classification = {
  runId: string
  model: string
  found: Probability[]
  also: Probability[]
  segments: Segment[] | undefined
  measures: Measures | undefined
  headers: Record<string, string>
}

/**
 * What a sound is, by a model that heard it: probabilities over the labels. Throws 503 `no_capable_model` where no node has
 * such a model, for nobody who has not heard a sound can say what it is.
 */
export async function classified(ctx: Ctx, wanted: Wanted): Promise<Classification> {
  const { given, modelName, name, labels, also = [] } = wanted
  const answered: Answered<Omit<Classification, 'runId' | 'model' | 'headers'>> = await callNodes(ctx, {
    chosen: await choose(ctx, 'audio_classification', modelName),
    asked: modelName ?? 'auto',
    capability: 'audio_classification',
    operation: 'audio_analysis',
    name,
    timeoutMs: SYNC_TIMEOUT_MS,
    run: async (session, target) => {
      const first = await ask(session, target, wanted)
      const found = probabilities(first.scores, labels)
      if (found.length === 0) {
        throw new UpstreamError('garbage', `${session.provider.name} told of none of the labels that were asked for.`)
      }
      const second = also.length > 0 ? await ask(session, target, { given, labels: also }) : undefined
      return {
        found,
        also: second ? probabilities(second.scores, also) : [],
        segments: first.segments?.map(({ scores, ...times }) => ({ ...times, found: probabilities(scores, labels) })),
        measures: await measure(ctx, session, given),
      }
    },
  })
  const { value, target, headers, runId } = answered
  answered.finish({
    audioMs: value.measures?.duration_ms ?? given.sound.durationMs,
    confidence: value.found[0]?.confidence,
    sha256: await sha256Of(given),
  })
  return { ...value, runId, model: `${target.provider.name}/${target.model}`, headers }
}

function ask(
  session: Session,
  { server, model }: Heard,
  { given, labels, perSegment }: Pick<Wanted, 'given' | 'labels' | 'perSegment'>,
): Promise<Classified> {
  const fields = { model, labels: JSON.stringify(labels), per_segment: perSegment ? 'true' : undefined }
  const { contentType, ...sent } = formBody(given.file, fields)
  const headers = { 'content-type': contentType, accept: 'application/json' }
  return session.askJson({ server, method: 'POST', path: '/v1/audio/classifications', headers, ...sent }, Classified)
}

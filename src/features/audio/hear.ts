import type { Ctx } from '../../core/context.ts'
import type { Priority } from '../../core/routing.ts'
import { type Answered, callNodes, type Heard } from './calling.ts'
import { choose, chooseHearer } from './choosing.ts'
import { formBody } from './form.ts'
import type { Granularity } from './render.ts'
import { type HeardPart, together } from './seams.ts'
import type { Session } from './session.ts'
import type { GivenSound } from './sound-input.ts'
import { hasLoop, NodeTranscript, type Transcript, transcriptOf } from './transcript.ts'
import { windowsOf } from './windows.ts'

/** How a sound is to be written down. */
export type Hearing = {
  given: GivenSound
  /** As the caller named it. */
  model: string | undefined
  task: 'transcribe' | 'translate'
  language?: string | undefined
  prompt?: string | undefined
  temperature?: number | undefined
  granularities?: readonly Granularity[] | undefined
  timeoutMs?: number | undefined
  priority?: Priority | undefined
}

export const SYNC_TIMEOUT_MS = 300_000
/** What a phrase that loops is tried at again. */
const WARMER = [0.2, 0.4]

/** What is said in a sound. Whoever has it must `finish` it. Throws `AppError`. */
export async function hear(ctx: Ctx, hearing: Hearing): Promise<Answered<Transcript>> {
  const { given, model, task, timeoutMs = SYNC_TIMEOUT_MS, priority } = hearing
  return callNodes(ctx, {
    chosen: await chosenFor(ctx, hearing),
    asked: model ?? 'auto',
    ...capabilityOf(task),
    timeoutMs,
    priority,
    run: async (session, target) => {
      const parts: HeardPart[] = []
      for await (const { file, startMs, overlapMs, durationMs } of windowsOf(given)) {
        const part = { ...hearing, given: { ...given, file } }
        const transcript = transcriptOf(await withoutLoops(session, target, part), durationMs)
        parts.push({ startMs, overlapMs, transcript })
      }
      return together(parts)
    },
  })
}

export const chosenFor = (ctx: Ctx, { given, model, task }: Pick<Hearing, 'given' | 'model' | 'task'>) =>
  task === 'translate' ? choose(ctx, 'translation', model) : chooseHearer(ctx, { model, format: given.sound.format })

export const capabilityOf = (task: Hearing['task']) =>
  task === 'translate'
    ? ({ capability: 'translation', operation: 'translation' } as const)
    : ({ capability: 'transcription', operation: 'transcription' } as const)

/** A caller who names a temperature gets that one and no other. */
async function withoutLoops(session: Session, target: Heard, hearing: Hearing): Promise<NodeTranscript> {
  const once = (temperature: number | undefined) =>
    session.askJson(transcriptionOf(target, hearing, { response_format: 'verbose_json', temperature }), NodeTranscript)
  const first = await once(hearing.temperature)
  if (hearing.temperature !== undefined || !hasLoop(first)) return first
  for (const temperature of WARMER) {
    const again = await once(temperature)
    if (!hasLoop(again)) return again
  }
  return first
}

type Form = { response_format: string; temperature?: number | undefined; stream?: true }

/** The request for a server of OpenAI's form. */
export function transcriptionOf({ server, model }: Heard, hearing: Hearing, form: Form) {
  const { given, task, language, prompt, granularities = [] } = hearing
  const { contentType, ...sent } = formBody(given.file, {
    model,
    response_format: form.response_format,
    temperature: form.temperature?.toString(),
    stream: form.stream && 'true',
    prompt,
    ...(task === 'transcribe' && {
      language,
      'timestamp_granularities[]': form.stream ? undefined : [...new Set<Granularity>(['segment', ...granularities])],
    }),
  })
  const path = `/v1/audio/${task === 'translate' ? 'translations' : 'transcriptions'}`
  const accept = form.stream ? 'text/event-stream' : 'application/json'
  return { server, method: 'POST' as const, path, headers: { 'content-type': contentType, accept }, ...sent }
}

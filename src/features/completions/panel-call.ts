import type { Ctx } from '../../core/context.ts'
import type { Decision } from '../../core/decision.ts'
import {
  type ChatAnswer,
  type ChatCompletion,
  type ChatStream,
  type StreamPart,
  UpstreamError,
} from '../../core/models.ts'
import { estimateTokens } from '../../core/tokens.ts'
import { pricesHash } from '../catalog/service.ts'
import { textOf } from '../ensembles/service.ts'
import { costOf, type Ending, errorCodeOf, NO_USAGE, type PartOfCall } from '../ledger/service.ts'
import {
  begin,
  dispatch,
  type FailedAttempt,
  failureOf,
  isBilledUnanswered,
  reasonOf,
  type Target,
} from '../routing/service.ts'
import { createAssembler } from './assemble.ts'
import { attemptChat } from './attempt.ts'
import { createMeter, type Meter, writtenIn } from './meter.ts'
import { type Asked, estimatedPrompt } from './request.ts'

/** An answer that is longer is of no use to a choice. */
const MAX_ANSWER_CHARS = 4_000_000

/** One call of a panel, once it is over. */
export type PanelCall = PartOfCall & {
  target: Target
  /** Undefined where it did not answer, or said nothing. */
  completion: ChatCompletion | undefined
  ignored: readonly string[]
  /** `ok`, or one word for what went wrong. */
  outcome: string
  failures: readonly FailedAttempt[]
  costNanoUsd: number
}

type Wanted = {
  target: Target
  asked: Asked
  /** Aborting it ends the call. */
  signal: AbortSignal
  /** The most that it may take. */
  timeoutMs: number
  taskType?: string | undefined
  /** Told of a stream's parts as they come. */
  onParts?: ((parts: readonly StreamPart[]) => void) | undefined
}

/** Asks one target, under a request id of its own. Never throws for what the target does. */
export async function callTarget(ctx: Ctx, wanted: Wanted): Promise<PanelCall> {
  const { target, asked, signal, timeoutMs } = wanted
  const requestId = ctx.newId('req')
  const startedMs = ctx.now()
  // Its attempts are noted apart from those of the call that it is made for.
  const noted = { id: '', askedModel: target.id, isStream: asked.stream, pricesVersion: pricesHash }
  const decision: Decision = { ...noted, attempts: [], failed: [] }
  const world: Ctx = {
    ...ctx,
    requestId,
    startedMs,
    signal,
    arrival: ctx.arrival && { ...ctx.arrival, decision },
  }
  let meter = createMeter()
  const attempt = async (): Promise<Whole> => {
    meter = createMeter()
    const ended = begin(ctx, target)
    try {
      const answer = await attemptChat(world, { target }, { asked: { ...asked, timeoutMs }, signal })
      return answer.kind === 'whole' ? answer : await gather(answer, meter, wanted.onParts)
    } catch (error) {
      if (error instanceof UpstreamError) throw error
      // Whatever we stumbled over: what the others cost has to be booked.
      ctx.log.error('panel_call_failed', { request_id: requestId, target: target.id, cause: String(error) })
      throw new UpstreamError('garbage', 'The answer could not be understood.', { cause: error })
    } finally {
      ended()
    }
  }
  const plan = { strategy: 'explicit' as const, targets: [{ target, reason: 'member' }], excluded: [] }
  const outcome = await dispatch(world, plan, { attempt, repeatable: false, timeoutMs })
  const about = { asked, target }
  const ending = outcome.ok
    ? answeredEnding(about, outcome)
    : failedEnding(about, { failures: outcome.failures, meter })
  const said = outcome.ok && textOf(outcome.answer.completion) !== ''
  return {
    requestId,
    startedMs,
    endedMs: ctx.now(),
    ending,
    decision,
    taskType: wanted.taskType,
    target,
    completion: outcome.ok && said ? outcome.answer.completion : undefined,
    ignored: outcome.ok ? outcome.answer.ignored : [],
    outcome: said ? 'ok' : outcome.ok ? 'empty' : whyNot(outcome.failures),
    failures: outcome.failures,
    costNanoUsd: costOf(ending),
  }
}

type Whole = Extract<ChatAnswer, { kind: 'whole' }>

const whyNot = (failures: readonly FailedAttempt[]): string => {
  const last = failures.at(-1)
  return last ? reasonOf(last.error) : 'not_asked'
}

/** A stream as one answer. Throws `UpstreamError` for one that breaks off, or has no end. */
async function gather(
  { stream, ignored }: { stream: ChatStream; ignored: readonly string[] },
  meter: Meter,
  onParts: Wanted['onParts'],
): Promise<Whole> {
  const assembler = createAssembler(MAX_ANSWER_CHARS)
  for (let parts = await stream.read(); parts; parts = await stream.read()) {
    for (const part of parts) meter.take(part)
    assembler.take(parts)
    onParts?.(parts)
  }
  const ends = meter.open().map(({ index, reason }) => ({ index, delta: {}, finish_reason: reason }))
  assembler.take([{ chunk: { choices: ends }, json: '' }])
  const completion = assembler.completion()
  if (!completion) throw new UpstreamError('garbage', 'The stream could not be put together.')
  return { kind: 'whole', completion, usage: meter.reported(), ignored }
}

type About = { asked: Asked; target: Target }

function answeredEnding({ asked, target }: About, { answer, attempts }: { answer: Whole; attempts: number }): Ending {
  const { usage, completion } = answer
  const estimated = usage === undefined
  const counted = usage ?? { ...promptUsage(asked), completion: estimateTokens(writtenIn(completion)) }
  // What its caller sees as a stream is gathered first: there is no first content of its own.
  return { operation: asked.operation, status: 'ok', target, usage: counted, estimated, attempts, stream: false }
}

const promptUsage = (asked: Asked) => ({ ...NO_USAGE, prompt: estimatedPrompt(asked, estimateTokens) })

/** A target that was at work when it failed bills its prompt, and what it had written. */
function failedEnding(
  { asked, target }: About,
  { failures, meter }: { failures: readonly FailedAttempt[]; meter: Meter },
): Ending {
  const last = failures.at(-1)
  const isAborted = last?.error.fault === 'aborted'
  const isBilled = meter.started() || (last !== undefined && isBilledUnanswered(last.error))
  const reported = meter.reported()
  const usage = {
    ...(reported ?? NO_USAGE),
    prompt: reported && reported.prompt > 0 ? reported.prompt : promptUsage(asked).prompt,
    completion: Math.max(reported?.completion ?? 0, meter.delivered()),
  }
  return {
    operation: asked.operation,
    status: isAborted ? 'aborted' : 'error',
    target,
    usage: isBilled ? usage : NO_USAGE,
    estimated: isBilled,
    attempts: failures.length,
    stream: false,
    errorCode: isAborted ? undefined : errorCodeOf(failureOf(failures)),
  }
}

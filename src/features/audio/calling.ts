import type { Ctx } from '../../core/context.ts'
import type { LedgerOperation } from '../../core/ledger.ts'
import { UpstreamError } from '../../core/models.ts'
import type { NodeCapability } from '../../core/node.ts'
import type { Priority } from '../../core/routing.ts'
import type { TaskType } from '../../core/tasks.ts'
import { nodePrice } from '../catalog/service.ts'
import { book, errorCodeOf, NO_USAGE } from '../ledger/service.ts'
import type { SelectedSpeech } from '../node-models/service.ts'
import { answerHeaders, openDecision, reasonOf } from '../routing/service.ts'
import { failureOf, isWorthAnother } from './failure.ts'
import { noteRun, type RunFacts } from './runs.ts'
import { openSession, type Session } from './session.ts'

/** A model that was chosen, and others that could do it, the best first. */
export type Chosen = Pick<SelectedSpeech, 'provider' | 'model' | 'server'> & {
  fallbacks: readonly Pick<SelectedSpeech, 'provider' | 'model' | 'server'>[]
}
export type Heard = Omit<Chosen, 'fallbacks'>

export type NodeCall<T> = {
  chosen: Chosen
  /** As the caller named the model. */
  asked: string
  capability: NodeCapability
  operation: Extract<LedgerOperation, 'transcription' | 'translation' | 'speech' | 'audio_analysis'>
  /** What the run is called, where that says more than the ledger. */
  name?: string
  isStream?: boolean
  /** All attempts together. */
  timeoutMs: number
  priority?: Priority | undefined
  /** One attempt: it must not let the caller see anything. */
  run: (session: Session, target: Heard) => Promise<T>
}

export type Ended = RunFacts & { error?: unknown; bytesOut?: number | undefined }

/** An answer whose node still has a place taken: `finish` gives it back and has the call booked, once. */
export type Answered<T> = {
  value: T
  target: Heard
  session: Session
  runId: string
  headers: Record<string, string>
  finish(ended: Ended): void
}

const TASK: Readonly<Record<NodeCall<unknown>['operation'], TaskType>> = {
  transcription: 'audio_transcription',
  translation: 'audio_transcription',
  speech: 'audio_analysis',
  audio_analysis: 'audio_analysis',
}

/**
 * Asks the chosen model, and the others in turn where its node fails before anybody has seen anything of it. Booked
 * however it ends, at no price: the machine is the team's own. Throws `AppError`.
 */
export async function callNodes<T>(ctx: Ctx, call: NodeCall<T>): Promise<Answered<T>> {
  const { chosen, operation, isStream = false } = call
  openDecision(ctx, { model: call.asked, isStream, taskType: TASK[operation] })
  const targets: Heard[] = [chosen, ...chosen.fallbacks]
  const decision = ctx.arrival?.decision
  if (decision) {
    const planned = targets.map((target) => ({ target: { id: idOf(target) }, reason: 'capable' }))
    decision.plan = { strategy: 'nodes', targets: planned, excluded: [] }
  }
  const untilMs = ctx.now() + call.timeoutMs
  const failures: { target: Heard; error: UpstreamError }[] = []
  for (const [at, target] of targets.entries()) {
    const startedMs = ctx.now()
    const note = (outcome: string): void =>
      void decision?.attempts.push({ target: idOf(target), outcome, duration_ms: Math.max(0, ctx.now() - startedMs) })
    try {
      const timeoutMs = Math.max(1, untilMs - startedMs)
      const waits = at === targets.length - 1
      const answered = await attempt(ctx, call, { target, timeoutMs, waits })
      note('ok')
      return answeredBy(ctx, call, { ...answered, target, attempts: failures.length + 1 })
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      note(reasonOf(error))
      report(ctx, target, error)
      failures.push({ target, error })
      if (!isWorthAnother(error) || ctx.signal.aborted) break
    }
  }
  throw givenUp(ctx, call, failures)
}

const idOf = ({ provider, model }: Heard): string => `${provider.name}/${model}`

type Attempt = { target: Heard; timeoutMs: number; waits: boolean }

async function attempt<T>(
  ctx: Ctx,
  { run, priority }: NodeCall<T>,
  { target, timeoutMs, waits }: Attempt,
): Promise<{ value: T; session: Session }> {
  const session = await openSession(ctx, { provider: target.provider, timeoutMs, waits, priority })
  try {
    return { value: await run(session, target), session }
  } catch (error) {
    session.close()
    throw error
  }
}

type Got<T> = { value: T; session: Session; target: Heard; attempts: number }

function answeredBy<T>(ctx: Ctx, call: NodeCall<T>, { value, session, target, attempts }: Got<T>): Answered<T> {
  const runId = ctx.newId('aur')
  const settled = Promise.withResolvers<void>()
  if (call.isStream) {
    // Said now that there will be more to do: after the last byte of a stream it would be too late.
    ctx.defer(settled.promise)
    if (ctx.arrival) ctx.arrival.isBooked = true
  }
  let isOver = false
  return {
    value,
    target,
    session,
    runId,
    headers: answerHeaders(ctx, { answer: { ignored: [] }, target, attempts }),
    finish: (ended) => {
      if (isOver) return
      isOver = true
      session.close()
      const work = booked(ctx, call, { target, attempts, runId, ended })
      if (call.isStream) settled.resolve(work)
      else ctx.defer(work)
    },
  }
}

type Closing = { target: Heard; attempts: number; runId: string; ended: Ended }

async function booked<T>(ctx: Ctx, call: NodeCall<T>, { target, attempts, runId, ended }: Closing): Promise<void> {
  const { operation, isStream = false } = call
  const { error, bytesOut, ...facts } = ended
  const isAborted = error instanceof UpstreamError && error.fault === 'aborted'
  const errorCode = error === undefined ? undefined : codeOf(error)
  const ending = {
    operation,
    status: error === undefined ? ('ok' as const) : isAborted ? ('aborted' as const) : ('error' as const),
    target: { provider: target.provider, model: target.model, price: nodePrice },
    usage: NO_USAGE,
    estimated: false,
    attempts,
    stream: isStream,
    errorCode: isAborted ? undefined : errorCode,
    bytesOut,
  }
  const run = { id: runId, operation: call.name ?? operation, provider: target.provider.name, model: target.model }
  await Promise.all([book(ctx, ending), noteRun(ctx, { ...facts, ...run, errorCode })])
}

function codeOf(error: unknown): string {
  if (!(error instanceof UpstreamError)) return errorCodeOf(error)
  return error.fault === 'aborted' ? 'aborted' : error.fault === 'timeout' ? 'upstream_timeout' : 'provider_error'
}

function givenUp<T>(ctx: Ctx, call: NodeCall<T>, failures: readonly { target: Heard; error: UpstreamError }[]) {
  const last = failures.at(-1)
  if (!last) throw new Error('a call of no targets')
  const attempted = failures.map(({ target, error }) => ({ target: idOf(target), reason: reasonOf(error) }))
  const failure = failureOf(last.error, { capability: call.capability, attempted })
  const error = last.error.fault === 'aborted' ? last.error : failure
  ctx.defer(
    booked(ctx, call, { target: last.target, attempts: failures.length, runId: ctx.newId('aur'), ended: { error } }),
  )
  return failure
}

function report(ctx: Ctx, target: Heard, error: UpstreamError): void {
  const facts = { request_id: ctx.requestId, target: idOf(target), fault: error.fault, status: error.status }
  if (error.fault === 'aborted') ctx.log.debug('attempt_aborted', facts)
  else ctx.log.warn('attempt_failed', facts)
}

import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { ChatAnswer, ChatCompletion } from '../../core/models.ts'
import { estimateTokens } from '../../core/tokens.ts'
import { book, bookAttempt, costOf, type Ending, errorCodeOf, NO_USAGE } from '../ledger/service.ts'
import {
  begin,
  type Dispatched,
  decide,
  dispatch,
  type FailedAttempt,
  failureOf,
  giveBackUnplanned,
  isBilledUnanswered,
  openDecision,
  type Plan,
  type PlannedTarget,
  type RoutedCall,
  refuseUnheld,
  releaseUnused,
  type Target,
  taskOf,
} from '../routing/service.ts'
import { coversInput, coversWhole } from './allowance.ts'
import { refuseUnbounded, routingOf } from './ask.ts'
import { attemptChat } from './attempt.ts'
import { lookUp } from './cached.ts'
import { bookWhole, type Caller, deliverLater, deliverStream, deliverWhole } from './deliver.ts'
import { deliverKept } from './deliver-kept.ts'
import { type Counted, type MaybeLater, openAiRendering, type Rendering } from './rendering.ts'
import { type Asked, estimatedPrompt } from './request.ts'
import { keepSigned, recallSigned } from './signatures.ts'
import { withinSilence } from './silence.ts'

/**
 * How long a vendor is listened to after its caller has left, where the caller wants that. The platform ends the rest
 * after 30 s, and the call must be booked by then: https://developers.cloudflare.com/workers/runtime-apis/context/
 */
const DRAIN_MS = 24_000

/**
 * One chat call after its admission: find the targets, put them in order, let one of them answer, deliver the answer,
 * and book it once it has left; `rendering` is how its caller reads it. Throws `AppError`; money that was held is
 * settled on every way out.
 */
export async function complete(
  ctx: Ctx,
  asked: Asked,
  rendering: Rendering<MaybeLater> = openAiRendering,
): Promise<Response> {
  if (asked.ensemble) return (await import('./panel-answer.ts')).completePanel(ctx, asked, rendering)
  const prepared = await prepare(ctx, asked)
  if ('hit' in prepared) return deliverKept(ctx, asked, { ...prepared.hit, rendering })
  const caller = { ...watchCaller(ctx, asked), rendering, caching: prepared.caching }
  const answering = answer(ctx, asked, { ...prepared, caller })
  const outcome = asked.stream ? await withinSilence(answering) : await answering
  if (outcome === 'silent') {
    const coming = answering.then((late) => streamed(ctx, asked, late))
    return deliverLater(ctx, asked, { coming, caller })
  }
  if (!outcome.ok) {
    caller.end()
    throw fail(ctx, asked, outcome)
  }
  bookUnanswered(ctx, asked, outcome.failures)
  const { answer: given } = outcome
  if (given.kind === 'stream') return deliverStream(ctx, asked, { ...outcome, answer: given, caller })
  caller.end()
  await keepSigned(ctx, asked, { target: outcome.target, completion: given.completion })
  return deliverWhole(ctx, asked, { ...outcome, answer: given, caller })
}

/** What a call in one piece came to, for whoever made it inside the program. */
export type WholeCall = Counted & { completion: ChatCompletion; target: Target; costNanoUsd: number }

/**
 * One call of one model, the whole answer, for a caller inside the program: the same way as `complete`, and booked as it
 * is. What is asked must not be a stream. Throws `AppError`; money that was held is settled on every way out.
 */
export async function completeWhole(ctx: Ctx, asked: Asked): Promise<WholeCall> {
  const prepared = await prepare(ctx, asked)
  if ('hit' in prepared) throw new TypeError('a call inside the program is never answered from the cache')
  const caller = watchCaller(ctx, asked)
  const outcome = await answer(ctx, asked, { ...prepared, caller })
  caller.end()
  if (!outcome.ok) throw fail(ctx, asked, outcome)
  bookUnanswered(ctx, asked, outcome.failures)
  const { target, answer: given } = outcome
  if (given.kind === 'stream') throw new TypeError('a call in one piece was answered by a stream')
  const ending = bookWhole(ctx, asked, { ...outcome, answer: given })
  const { usage, estimated } = ending
  return { completion: given.completion, target, usage, estimated, costNanoUsd: costOf(ending) }
}

type Answering = { planned: Plan; signed: Asked; caller: Watched }

/** Lets one of the planned targets answer. Throws only what nobody expects. */
function answer(ctx: Ctx, asked: Asked, { planned, signed, caller }: Answering): Promise<Dispatched<ChatAnswer>> {
  return dispatch(ctx, planned, {
    attempt: (_target, one) => attemptCounted(ctx, one, { asked: signed, caller }),
    repeatable: false,
    mayPayTwice: asked.mayPayTwice ? (target) => coversInput(ctx, [target], promptOf(asked)) : undefined,
    timeoutMs: asked.timeoutMs,
  }).catch((error: unknown) => {
    caller.end()
    releaseUnused(ctx)
    throw error
  })
}

/** The target has a call under way until its answer has ended. */
async function attemptCounted(
  ctx: Ctx,
  planned: PlannedTarget,
  { asked, caller }: { asked: Asked; caller: Watched },
): Promise<ChatAnswer> {
  const ended = begin(ctx, planned.target)
  try {
    const answer = await attemptChat(ctx, planned, { asked, signal: caller.upstream })
    caller.onEnd(ended)
    return answer
  } catch (error) {
    ended()
    throw error
  }
}

const promptOf = (asked: Asked): number => estimatedPrompt(asked, estimateTokens)

/** Everything that can still refuse the call before a vendor hears of it, or make that needless. */
async function prepare(ctx: Ctx, asked: Asked) {
  const { model } = asked.wanted
  const taskType = asked.wanted.taskType ?? taskOf(asked.body.messages)
  openDecision(ctx, { model, isStream: asked.stream, taskType })
  try {
    if (ctx.signal.aborted) throw new AppError('invalid_request', 'The caller left before the model was asked.')
    const found = await lookUp(ctx, asked)
    if ('hit' in found) {
      giveBackUnplanned(ctx, { targets: [] })
      return found
    }
    const planned = await decide(ctx, routedCall(ctx, asked))
    const targets = planned.targets.map(({ target }) => target)
    giveBackUnplanned(ctx, planned)
    const covers = (bytes: number) => coversInput(ctx, targets, bytes)
    return { ...found, planned, signed: await recallSigned(ctx, asked, { targets, covers }) }
  } catch (error) {
    releaseUnused(ctx)
    throw error
  }
}

function routedCall(ctx: Ctx, asked: Asked): RoutedCall {
  const { admission } = ctx
  return {
    ...routingOf(asked, admission.policy),
    refuse: (targets) => {
      refuseUnheld(admission, { targets, runId: asked.runId })
      refuseUnbounded(admission, asked, targets)
    },
    extend: (targets) => coversWhole(ctx, asked, targets),
  }
}

type Watched = Omit<Caller, 'rendering'> & {
  upstream: AbortSignal
  /** To be called when nothing more comes from the vendor. */
  onEnd: (ended: () => void) => void
}

/** Ends the vendor's work when the caller hangs up, or a while later for a caller who wants the exact count. */
function watchCaller({ signal }: Ctx, { onDisconnect, stream }: Asked): Watched {
  const ends: (() => void)[] = []
  const onEnd = (ended: () => void): void => void ends.push(ended)
  const endAll = (): void => {
    for (const ended of ends) ended()
  }
  // An answer in one piece ends with its caller and with nobody else: their own signal will do.
  if (!stream && onDisconnect === 'cancel') return { upstream: signal, leave: () => undefined, end: endAll, onEnd }
  const upstream = new AbortController()
  let draining: ReturnType<typeof setTimeout> | undefined
  const leave = (): void => {
    signal.removeEventListener('abort', leave)
    if (onDisconnect === 'cancel') upstream.abort()
    else draining ??= setTimeout(() => upstream.abort(), DRAIN_MS)
  }
  const end = (): void => {
    signal.removeEventListener('abort', leave)
    clearTimeout(draining)
    endAll()
  }
  signal.addEventListener('abort', leave)
  return { upstream: upstream.signal, leave, end, onEnd }
}

function streamed(ctx: Ctx, asked: Asked, outcome: Dispatched<ChatAnswer>) {
  if (!outcome.ok) throw fail(ctx, asked, outcome)
  bookUnanswered(ctx, asked, outcome.failures)
  const { answer } = outcome
  if (answer.kind !== 'stream') throw new TypeError('a streamed call was answered whole')
  return { ...outcome, answer }
}

/** Books a call that nobody answered, and says why. */
function fail(ctx: Ctx, asked: Asked, { failures, passedOver }: Extract<Dispatched<ChatAnswer>, { ok: false }>) {
  const error = failureOf(failures, passedOver)
  const last = failures.at(-1)
  if (last) {
    bookUnanswered(ctx, asked, failures.slice(0, -1))
    const isAborted = last.error.fault === 'aborted'
    const ending = unansweredEnding(asked, last, failures.length)
    const errorCode = isAborted ? undefined : errorCodeOf(error)
    ctx.defer(book(ctx, { ...ending, status: isAborted ? 'aborted' : 'error', errorCode }))
  } else releaseUnused(ctx)
  return error
}

/** A vendor that did not answer in time has read the prompt, and bills it, also where another one has answered since. */
function bookUnanswered(ctx: Ctx, asked: Asked, failures: readonly FailedAttempt[]): void {
  for (const failed of failures) {
    if (!isBilledUnanswered(failed.error)) continue
    const errorCode = 'upstream_timeout'
    ctx.defer(bookAttempt(ctx, { ...unansweredEnding(asked, failed, 1), status: 'error', errorCode }))
  }
}

function unansweredEnding(asked: Asked, { target, error }: FailedAttempt, attempts: number): Omit<Ending, 'status'> {
  const isBilled = isBilledUnanswered(error)
  return {
    operation: asked.operation,
    target,
    usage: isBilled ? { ...NO_USAGE, prompt: promptOf(asked) } : NO_USAGE,
    estimated: isBilled,
    attempts,
    stream: asked.stream,
  }
}

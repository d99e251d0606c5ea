import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { ChatAnswer } from '../../core/models.ts'
import { estimateTokens } from '../../core/tokens.ts'
import { book, errorCodeOf, NO_USAGE } from '../ledger/service.ts'
import {
  begin,
  type Dispatched,
  decide,
  dispatch,
  failureOf,
  isBilledUnanswered,
  openDecision,
  refuseUnheld,
  releaseUnused,
  requireTargets,
} from '../routing/service.ts'
import { coversInput } from './allowance.ts'
import { refuseUnbounded } from './ask.ts'
import { attemptChat } from './attempt.ts'
import { type Caller, deliverLater, deliverStream, deliverWhole } from './deliver.ts'
import { type MaybeLater, openAiRendering, type Rendering } from './rendering.ts'
import { type Asked, estimatedPrompt } from './request.ts'
import { keepSigned, recallSigned } from './signatures.ts'

/** A vendor that is silent for this long gets its caller a response that begins with comments. */
const SILENCE_MS = 10_000
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
  const { planned, signed } = await prepare(ctx, asked)
  const caller = { ...watchCaller(ctx, asked), rendering }
  const answering = dispatch(ctx, planned, {
    attempt: async (target) => {
      const ended = begin(ctx, target)
      try {
        const answer = await attemptChat(ctx, target, signed, caller.upstream)
        caller.onEnd(ended)
        return answer
      } catch (error) {
        ended()
        throw error
      }
    },
    repeatable: false,
    timeoutMs: asked.timeoutMs,
  }).catch((error: unknown) => {
    caller.end()
    releaseUnused(ctx)
    throw error
  })
  const outcome = asked.stream ? await withinSilence(answering) : await answering
  if (outcome === 'silent') {
    const coming = answering.then((late) => streamed(ctx, asked, late))
    return deliverLater(ctx, asked, { coming, caller })
  }
  if (!outcome.ok) {
    caller.end()
    throw fail(ctx, asked, outcome)
  }
  const { answer } = outcome
  if (answer.kind === 'stream') return deliverStream(ctx, asked, { ...outcome, answer, caller })
  caller.end()
  await keepSigned(ctx, asked, { target: outcome.target, completion: answer.completion })
  return deliverWhole(ctx, asked, { ...outcome, answer, caller })
}

/** Everything that can still refuse the call before a vendor hears of it. */
async function prepare(ctx: Ctx, asked: Asked) {
  const { model } = asked.wanted
  openDecision(ctx, { model, isStream: asked.stream })
  try {
    const targets = requireTargets(ctx, asked.wanted)
    refuseUnheld(ctx.admission, { targets, runId: asked.runId })
    refuseUnbounded(ctx.admission, asked, targets)
    if (ctx.signal.aborted) throw new AppError('invalid_request', 'The caller left before the model was asked.')
    const planned = decide(ctx, { targets, model })
    const covers = (bytes: number) => coversInput(ctx, targets, bytes)
    return { planned, signed: await recallSigned(ctx, asked, { targets, covers }) }
  } catch (error) {
    releaseUnused(ctx)
    throw error
  }
}

type Watched = Omit<Caller, 'rendering'> & {
  upstream: AbortSignal
  /** To be called when nothing more comes from the vendor. */
  onEnd: (ended: () => void) => void
}

/** Ends the vendor's work when the caller hangs up, or a while later for a caller who wants the exact count. */
function watchCaller({ signal }: Ctx, { onDisconnect }: Asked): Watched {
  const ends: (() => void)[] = []
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
    for (const ended of ends) ended()
  }
  signal.addEventListener('abort', leave)
  return { upstream: upstream.signal, leave, end, onEnd: (ended) => void ends.push(ended) }
}

async function withinSilence<T>(answering: Promise<T>): Promise<T | 'silent'> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<'silent'>((resolve) => {
    timer = setTimeout(() => resolve('silent'), SILENCE_MS)
  })
  return Promise.race([answering, silence]).finally(() => clearTimeout(timer))
}

function streamed(ctx: Ctx, asked: Asked, outcome: Dispatched<ChatAnswer>) {
  if (!outcome.ok) throw fail(ctx, asked, outcome)
  const { answer } = outcome
  if (answer.kind !== 'stream') throw new TypeError('a streamed call was answered whole')
  return { ...outcome, answer }
}

/** Books a call that nobody answered, and says why. */
function fail(ctx: Ctx, asked: Asked, { failures }: Extract<Dispatched<ChatAnswer>, { ok: false }>) {
  const error = failureOf(failures)
  const last = failures.at(-1)
  if (last) {
    const isAborted = last.error.fault === 'aborted'
    const isBilled = isBilledUnanswered(last.error)
    ctx.defer(
      book(ctx, {
        operation: asked.operation,
        status: isAborted ? 'aborted' : 'error',
        target: last.target,
        usage: isBilled ? { ...NO_USAGE, prompt: estimatedPrompt(asked, estimateTokens) } : NO_USAGE,
        estimated: isBilled,
        attempts: failures.length,
        stream: asked.stream,
        errorCode: isAborted ? undefined : errorCodeOf(error),
      }),
    )
  }
  return error
}

import type { Ctx } from '../../core/context.ts'
import type { ChatAnswer } from '../../core/models.ts'
import { book, errorCodeOf, NO_USAGE } from '../ledger/service.ts'
import {
  type Dispatched,
  dispatch,
  failureOf,
  plan,
  refreshNodes,
  refuseUnheld,
  requireTargets,
} from '../routing/service.ts'
import { attemptChat } from './attempt.ts'
import { deliverLater, deliverStream, deliverWhole } from './deliver.ts'
import { type Asked, readRequest } from './request.ts'
import type { ChatRequest } from './schema.ts'

/** A vendor that is silent for this long gets its caller a response that begins with comments. */
const SILENCE_MS = 10_000

/**
 * One chat call after its admission: find the targets, put them in order, let one of them answer, deliver the answer,
 * and book it once it has left. Throws `AppError`; money that was held is settled on every way out.
 */
export async function complete(ctx: Ctx, request: ChatRequest): Promise<Response> {
  const asked = readRequest(request)
  const planned = await prepare(ctx, asked)
  refreshNodes(ctx)
  const upstream = new AbortController()
  ctx.signal.addEventListener('abort', () => upstream.abort(), { once: true })
  const answering = dispatch(ctx, planned, {
    attempt: (target) => attemptChat(ctx, target, asked, upstream.signal),
    repeatable: false,
  }).catch(async (error: unknown) => {
    await giveUp(ctx)
    throw error
  })
  const outcome = asked.stream ? await withinSilence(answering) : await answering
  if (outcome === 'silent')
    return deliverLater(
      ctx,
      asked,
      answering.then((late) => streamed(ctx, asked, late)),
    )
  if (!outcome.ok) throw fail(ctx, asked, outcome)
  const { answer } = outcome
  return answer.kind === 'stream'
    ? deliverStream(ctx, asked, { ...outcome, answer })
    : deliverWhole(ctx, asked, { ...outcome, answer })
}

/** Everything that can still refuse the call before a vendor hears of it. */
async function prepare(ctx: Ctx, asked: Asked) {
  try {
    const targets = requireTargets(ctx, asked.wanted)
    refuseUnheld(ctx.admission, targets)
    const { openBreakers } = ctx.admission
    return plan({ targets, openBreakers, model: asked.wanted.model, needs: asked.needs, nowMs: ctx.now() })
  } catch (error) {
    await giveUp(ctx)
    throw error
  }
}

/** The call ends before any vendor was asked: what it held is free again. */
async function giveUp(ctx: Ctx): Promise<void> {
  if (ctx.admission.held) ctx.defer(ctx.ledgerOf(ctx.admission.policy.orgId).release(ctx.requestId))
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
    const status = last.error.fault === 'aborted' ? 'aborted' : 'error'
    ctx.defer(
      book(ctx, {
        operation: 'chat',
        status,
        target: last.target,
        usage: NO_USAGE,
        estimated: false,
        attempts: failures.length,
        stream: asked.stream,
        errorCode: errorCodeOf(error),
      }),
    )
  }
  return error
}

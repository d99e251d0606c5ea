import type { Ctx } from '../../core/context.ts'
import type { ChatCompletion, ChatStream, StreamPart } from '../../core/models.ts'
import { usdTextFromNano } from '../../core/money.ts'
import { wireUsageOf } from '../../core/usage.ts'
import { sseHeaders } from '../../http/sse.ts'
import { wholeResponse } from '../../http/whole.ts'
import { answerHeaders, ignoredHeader } from '../routing/service.ts'
import { type Answered, answerOf, bookAnswered, preparePanel } from './panel.ts'
import { bookedOf, bookStreamed, type PanelCaller } from './panel-booked.ts'
import { streamFastest } from './panel-first.ts'
import type { PanelPlan } from './panel-run.ts'
import { toldOf } from './panel-told.ts'
import { relay } from './relay.ts'
import { type MaybeLater, openAiRendering, type Rendering } from './rendering.ts'
import { replayed } from './replay.ts'
import type { Asked } from './request.ts'
import { keepSigned } from './signatures.ts'
import { withinSilence } from './silence.ts'

/**
 * One call that several models answer: ask them, choose, deliver the answer, and book every call that it took. Throws
 * `AppError`; money that was held is settled on every way out.
 */
export async function completePanel(
  ctx: Ctx,
  asked: Asked,
  rendering: Rendering<MaybeLater> = openAiRendering,
): Promise<Response> {
  const prepared = preparePanel(ctx, asked)
  const caller = watchCaller(ctx)
  const plan: PanelPlan = { ...prepared, signal: caller.signal }
  // The event of a revision is of chat's wire.
  if (plan.settings.streamsFirst && rendering === openAiRendering) return streamFastest(ctx, plan, caller)
  const answering = answerOf(ctx, plan).finally(caller.end)
  answering.catch(() => undefined)
  if (!asked.stream) return deliverWhole(ctx, await answering, rendering)
  const early = await withinSilence(answering)
  const headers = early === 'silent' ? ignoredHeader(asked.lost ?? []) : headersOf(ctx, early)
  const stream = streamOf(ctx, plan, { answering, caller, rendering, isLate: early === 'silent' })
  return new Response(stream, { headers: { ...headers, ...sseHeaders } })
}

/** A caller who hangs up ends the work of every model. */
function watchCaller({ signal }: Ctx): PanelCaller {
  const upstream = new AbortController()
  const leave = (): void => upstream.abort()
  if (signal.aborted) leave()
  else signal.addEventListener('abort', leave, { once: true })
  return { signal: upstream.signal, leave, end: () => signal.removeEventListener('abort', leave) }
}

/** The headers of any answer, and what all calls cost together. */
function headersOf(ctx: Ctx, { plan, given, total }: Answered): Record<string, string> {
  const { target, ignored } = given.call
  const { lost = [] } = plan.asked
  return answerHeaders(ctx, { target, answer: { ignored: [...ignored, ...lost] }, attempts: total.attempts })
}

/** The counts are of all calls together: they are what was paid for. */
const summedUp = ({ given, total }: Answered): ChatCompletion => ({
  ...given.completion,
  usage: wireUsageOf(total.usage),
})

async function deliverWhole(ctx: Ctx, answered: Answered, rendering: Rendering<MaybeLater>): Promise<Response> {
  const { plan, given, total, result } = answered
  const completion = { ...summedUp(answered), ensemble: toldOf(plan, result) }
  await keepSigned(ctx, plan.asked, { target: given.call.target, completion })
  ctx.defer(bookAnswered(ctx, answered, { status: ctx.signal.aborted ? 'aborted' : 'ok' }))
  const answer = { kind: 'whole', completion, usage: total.usage, ignored: [] } as const
  const body = await rendering.whole(answer, { usage: total.usage, estimated: bookedOf(answered).estimated })
  return wholeResponse(JSON.stringify(body), {
    headers: {
      ...headersOf(ctx, answered),
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-helix-cost-usd': usdTextFromNano(total.costNanoUsd),
    },
  })
}

type Streaming = {
  answering: Promise<Answered>
  caller: PanelCaller
  rendering: Rendering<MaybeLater>
  /** The response begins before there is an answer. */
  isLate: boolean
}

/** The chosen answer as a stream. */
function streamOf(ctx: Ctx, plan: PanelPlan, { answering, caller, rendering, isLate }: Streaming) {
  const writer = rendering.stream(plan.asked, () => [])
  const settled = Promise.withResolvers<void>()
  // Registered now: after the last byte it would be too late to ask for time.
  ctx.defer(settled.promise)
  if (ctx.arrival) ctx.arrival.isBooked = true
  let answered: Answered | undefined
  const source = answering.then((coming) => {
    answered = coming
    return telling(replayed(summedUp(coming)), toldOf(plan, coming.result))
  })
  // Nobody may be there to hear of a failure.
  source.catch(() => undefined)
  return relay({
    source,
    pass: async (parts) => {
      const texts = await Promise.all(parts.map((part) => writer.part(part)))
      return { text: texts.join(''), stop: false }
    },
    epilogue: (how) => writer.end(how, bookedOf(answered)),
    failure: (error) => writer.failure(error),
    keepAlive: writer.keepAlive,
    onLeave: caller.leave,
    drains: false,
    signal: ctx.signal,
    nowMs: ctx.now,
    opening: isLate ? writer.opening() : undefined,
    onEnd: (how, bytesOut) => {
      caller.end()
      settled.resolve(bookStreamed(ctx, { answering, how, bytesOut }))
    },
  })
}

/** The same stream, with how its answer came about beside the end of it: a client that does not know that reads on. */
const telling = ({ read, cancel }: ChatStream, told: Record<string, unknown>): ChatStream => ({
  cancel,
  async read() {
    const parts = await read()
    return parts && withTold(parts, told)
  },
})

function withTold(parts: readonly StreamPart[], told: Record<string, unknown>): StreamPart[] {
  return parts.map((part) => {
    if (!part.chunk.choices.some(({ finish_reason }) => finish_reason)) return part
    const chunk = { ...part.chunk, ensemble: told }
    return { ...part, chunk, json: JSON.stringify(chunk) }
  })
}

import type { Ctx } from '../../core/context.ts'
import type { ChatStream, StreamPart } from '../../core/models.ts'
import { sseData, sseHeaders } from '../../http/sse.ts'
import { answerHeaders, ignoredHeader } from '../routing/service.ts'
import { createMeter, isContent } from './meter.ts'
import { type Answered, answerOf } from './panel.ts'
import { bookedOf, bookStreamed, type PanelCaller } from './panel-booked.ts'
import type { PanelPlan } from './panel-run.ts'
import { toldOf } from './panel-told.ts'
import { relay } from './relay.ts'
import { openAiRendering } from './rendering.ts'
import { withinSilence } from './silence.ts'

/**
 * The answer of whoever speaks first, as it comes; once all have answered and one was chosen, an event behind it tells
 * the chosen answer, if that is another.
 */
export async function streamFastest(ctx: Ctx, plan: PanelPlan, caller: PanelCaller): Promise<Response> {
  const stage = createStage()
  const answering = answerOf(ctx, { ...plan, onParts: stage.take }).finally(() => {
    caller.end()
    stage.close()
  })
  answering.catch(() => undefined)
  // Nobody has spoken yet: whoever fails now fails with a status of its own.
  const early = await withinSilence(Promise.race([stage.begun, answering]))
  const leader = stage.leader()
  const target = leader === undefined ? undefined : plan.members[leader]
  const { lost = [] } = plan.asked
  const headers =
    target && early !== 'silent'
      ? answerHeaders(ctx, { target, answer: { ignored: lost }, attempts: 1 })
      : ignoredHeader(lost)
  const stream = streamOf(ctx, plan, { stage, answering, caller, isLate: early === 'silent' })
  return new Response(stream, { headers: { ...headers, ...sseHeaders } })
}

type Streaming = { stage: Stage; answering: Promise<Answered>; caller: PanelCaller; isLate: boolean }

function streamOf(ctx: Ctx, plan: PanelPlan, { stage, answering, caller, isLate }: Streaming) {
  const meter = createMeter()
  const writer = openAiRendering.stream(plan.asked, meter.open)
  const settled = Promise.withResolvers<void>()
  // Registered now: after the last byte it would be too late to ask for time.
  ctx.defer(settled.promise)
  if (ctx.arrival) ctx.arrival.isBooked = true
  let firstContentMs: number | undefined
  return relay({
    source: stage.stream(answering),
    pass: (parts) => {
      for (const part of parts) meter.take(part)
      if (firstContentMs === undefined && meter.started()) firstContentMs = ctx.now()
      return { text: parts.map((part) => writer.part(part)).join(''), stop: false }
    },
    epilogue: async (how) => {
      const answered = await answering
      return revisionOf(answered, stage.leader()) + writer.end(how, bookedOf(answered))
    },
    failure: (error) => writer.failure(error),
    keepAlive: writer.keepAlive,
    onLeave: caller.leave,
    drains: false,
    signal: ctx.signal,
    nowMs: ctx.now,
    opening: isLate ? writer.opening() : undefined,
    onEnd: (how, bytesOut) => {
      caller.end()
      settled.resolve(bookStreamed(ctx, { answering, how, bytesOut, firstContentMs }))
    },
  })
}

/** Has choices, though none, so that clients who look for them read past it. */
function revisionOf({ plan, result, given }: Answered, leader: number | undefined): string {
  const shown = leader === undefined ? undefined : result.members[leader]?.answered
  if (shown === given.call) return ''
  const { id, created, model, choices } = given.completion
  const { target } = given.call
  const revision = {
    provider: target.provider.name,
    model: target.model,
    content: choices[0]?.message.content ?? null,
    finish_reason: choices[0]?.finish_reason ?? null,
  }
  const event = { id, object: 'helix.revision', created, model, choices: [], revision, ensemble: toldOf(plan, result) }
  return sseData(JSON.stringify(event))
}

type Stage = ReturnType<typeof createStage>

/** Where the first member to speak is heard, and nobody else. */
function createStage() {
  let leader: number | undefined
  let waiting: StreamPart[] = []
  let isClosed = false
  let wake = (): void => undefined
  const begun = Promise.withResolvers<void>()
  return {
    begun: begun.promise,
    leader: () => leader,
    take(member: number, parts: readonly StreamPart[]): void {
      if (leader === undefined && parts.some(isContent)) leader = member
      if (leader !== member) return
      waiting.push(...parts.flatMap(withoutUsage))
      begun.resolve()
      wake()
    },
    close(): void {
      isClosed = true
      wake()
    },
    /** Ends when everybody has answered, with the failure of the whole if nobody has. */
    stream: (answering: Promise<unknown>): ChatStream => ({
      async read() {
        while (waiting.length === 0 && !isClosed) {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
        const parts = waiting
        waiting = []
        if (parts.length > 0) return parts
        await answering
        return undefined
      },
      cancel: () => undefined,
    }),
  }
}

/** The counts of one member are not those of the call. */
function withoutUsage(part: StreamPart): StreamPart[] {
  const { usage, ...chunk } = part.chunk
  if (!usage) return [part]
  return chunk.choices.length === 0 ? [] : [{ ...part, chunk, json: JSON.stringify(chunk) }]
}

import type { Ctx } from '../../core/context.ts'
import {
  type ChatAnswer,
  type ChatMessage,
  type ChatStream,
  type StreamPart,
  UpstreamError,
} from '../../core/models.ts'
import type { NodeClass } from '../../core/node.ts'
import { budgetsOfCall } from '../budgets/service.ts'
import { isGated, type Leave, LONG_LOAD_MS, leavingAfter, loadAhead, type Passing, passGate } from '../gates/service.ts'
import { coldLoadMs, type PlannedTarget, type Target, timeoutsFor, windowOf } from '../routing/service.ts'
import { heldOutput } from './ask.ts'
import { requestFor } from './for-target.ts'
import { isContent } from './meter.ts'
import { type Asked, outputPerChoice } from './request.ts'
import { signedBody } from './signatures.ts'

type World = Pick<
  Ctx,
  'requestId' | 'admission' | 'startedMs' | 'now' | 'memory' | 'gateOf' | 'newId' | 'log' | 'defer'
>

type Wanted = { asked: Asked; signal: AbortSignal }

/** What of the plan an attempt goes by; one that says nothing else is the last. */
type Planned = Pick<PlannedTarget, 'target' | 'timeoutMs'> & { isLast?: boolean }

/**
 * One try at one target. A stream counts as an answer from its first content on: until then nothing has been shown to
 * the caller, and another target may still take over. Where the target takes so many calls at once the attempt is one of
 * them until its answer has ended. Throws `UpstreamError`.
 */
export async function attemptChat(ctx: World, planned: Planned, wanted: Wanted): Promise<ChatAnswer> {
  const { provider } = planned.target
  if (!isGated(provider)) return askTarget(ctx, planned, wanted)
  const { asked, signal } = wanted
  const passing = (): Passing => ({
    provider,
    work: { class: classOf(asked), priority: asked.priority },
    leftMs: timeoutsOf(ctx, planned, asked).totalMs,
    waits: planned.isLast ?? true,
    signal,
  })
  const { node } = provider
  if (node && coldLoadMs(ctx, planned.target) > LONG_LOAD_MS) {
    await loadAhead(ctx, { ...passing(), node, model: planned.target.model })
  }
  const leave = await passGate(ctx, passing())
  try {
    const answer = await askTarget(ctx, planned, wanted, leave)
    if (answer.kind === 'whole') leave()
    return answer
  } catch (error) {
    leave()
    throw error
  }
}

/** What a chat is to a node: pictures and sounds are work of other kinds than text. */
function classOf({ wanted, body }: Asked): NodeClass {
  if (wanted.needs?.includes('vision')) return 'vision'
  return body.messages.some(hasSound) ? 'audio' : 'chat'
}

const hasSound = ({ content }: ChatMessage): boolean =>
  Array.isArray(content) && content.some((part: { type?: unknown } | null) => part?.type === 'input_audio')

const timeoutsOf = ({ startedMs, now }: World, { target, timeoutMs: attemptMs }: Planned, { timeoutMs }: Asked) =>
  timeoutsFor(target, { startedMs, timeoutMs, attemptMs }, now())

async function askTarget(ctx: World, planned: Planned, { asked, signal }: Wanted, leave?: Leave): Promise<ChatAnswer> {
  const { target } = planned
  const { body, native, mostOutput, ignored } = requestFor(ctx, target, asked)
  const answer = await target.provider.chat({
    requestId: ctx.requestId,
    model: target.model,
    body: signedBody(body, asked, target),
    native,
    contextWindow: target.provider.node && windowOf(ctx, target.provider, target.model),
    maxOutputTokens: outputLimit(ctx, target, asked) ?? mostOutput,
    strict: asked.strict,
    signal,
    timeouts: timeoutsOf(ctx, planned, asked),
  })
  const told = ignored.length === 0 ? answer : { ...answer, ignored: [...answer.ignored, ...ignored] }
  return told.kind === 'whole'
    ? told
    : { ...told, stream: await untilContent(leave ? leavingAfter(told.stream, leave) : told.stream) }
}

/** Under a hard budget the vendor is told to stop where the hold ends; a stream is stopped by us, slice by slice. */
function outputLimit({ admission }: World, target: Target, asked: Asked): number | undefined {
  if (!admission.held || budgetsOfCall(admission).length === 0) return undefined
  const most = outputPerChoice(asked.body, target)
  return asked.stream ? most : Math.min(most, heldOutput(asked, target, admission.policy))
}

/** The same stream, once its first content has arrived; what came before it is kept for the first read. */
async function untilContent(stream: ChatStream): Promise<ChatStream> {
  let first: readonly StreamPart[] | undefined = await beginningOf(stream).catch((error: unknown) => {
    if (error instanceof UpstreamError) throw error
    // Whatever we stumbled over: the vendor must not write on for nobody.
    stream.cancel()
    throw new UpstreamError('garbage', 'The stream could not be understood.', { cause: error })
  })
  return {
    cancel: stream.cancel,
    read() {
      if (!first) return stream.read()
      const parts = first
      first = undefined
      return Promise.resolve(parts)
    },
  }
}

async function beginningOf(stream: ChatStream): Promise<StreamPart[]> {
  const early: StreamPart[] = []
  for (;;) {
    const parts = await stream.read()
    if (!parts) {
      if (early.length === 0) throw new UpstreamError('garbage', 'The stream ended before it said anything.')
      return early
    }
    early.push(...parts)
    if (parts.some(isContent)) return early
  }
}

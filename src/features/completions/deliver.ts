import type { Ctx } from '../../core/context.ts'
import type { LedgerStatus } from '../../core/ledger.ts'
import {
  type ChatAnswer,
  type ChatChunk,
  type ChatStream,
  type StreamPart,
  UpstreamError,
  type Usage,
} from '../../core/models.ts'
import { usdFromNano, usdTextFromNano } from '../../core/money.ts'
import { estimateTokens } from '../../core/tokens.ts'
import { wireUsageOf } from '../../core/usage.ts'
import { sseHeaders } from '../../http/sse.ts'
import { wholeResponse } from '../../http/whole.ts'
import { book, costOf, type Ending, NO_USAGE } from '../ledger/service.ts'
import { answerHeaders, type Dispatched, type Target } from '../routing/service.ts'
import { createAllowance } from './allowance.ts'
import { createMeter, type Meter, writtenIn } from './meter.ts'
import { errorFacts, type Passed, type RelayEnd, relay } from './relay.ts'
import { type Asked, estimatedPrompt } from './request.ts'

/** Who the answer is for: `leave` says that they hung up, `end` that nothing more comes from the vendor. */
export type Caller = { leave: () => void; end: () => void; shape: Shape }

/** Our own events, which arrive whole, as the caller reads them; nothing where they are the same. */
export type Shape = ((events: string) => string) | undefined

type Answered<A extends ChatAnswer = ChatAnswer> = Extract<Dispatched<A>, { ok: true }>
type Whole = Extract<ChatAnswer, { kind: 'whole' }>
type Streamed = Extract<ChatAnswer, { kind: 'stream' }>

/** An answer in one piece; what it cost is known before it leaves. */
export function deliverWhole(ctx: Ctx, asked: Asked, { answer, ...outcome }: Answered<Whole>): Response {
  const { completion } = answer
  const usage = answer.usage ?? estimatedUsage(asked, writtenIn(completion))
  const ending: Ending = {
    operation: asked.operation,
    status: 'ok',
    target: outcome.target,
    usage,
    estimated: answer.usage === undefined,
    attempts: outcome.attempts,
    stream: false,
  }
  ctx.defer(book(ctx, ending))
  const body = completion.usage ? completion : { ...completion, usage: wireUsageOf(usage) }
  return wholeResponse(JSON.stringify(body), {
    headers: {
      ...answerHeaders(ctx, { answer, ...outcome }),
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-helix-cost-usd': usdTextFromNano(costOf(ending)),
    },
  })
}

const estimatedUsage = (asked: Asked, written: string): Usage => ({
  ...NO_USAGE,
  prompt: estimatedPrompt(asked, estimateTokens),
  completion: estimateTokens(written),
})

/** A stream whose first content has arrived. */
export function deliverStream(
  ctx: Ctx,
  asked: Asked,
  { caller, ...outcome }: Answered<Streamed> & { caller: Caller },
): Response {
  const stream = streamOf(ctx, asked, { coming: Promise.resolve(outcome), caller, isLate: false })
  return new Response(stream, { headers: { ...answerHeaders(ctx, outcome), ...sseHeaders } })
}

/** A stream that begins with comments, because its vendor is still silent; who will answer is not known yet. */
export function deliverLater(
  ctx: Ctx,
  asked: Asked,
  later: { coming: Promise<Answered<Streamed>>; caller: Caller },
): Response {
  return new Response(streamOf(ctx, asked, { ...later, isLate: true }), { headers: sseHeaders })
}

type Coming = { coming: Promise<Answered<Streamed>>; caller: Caller; isLate: boolean }

function streamOf(ctx: Ctx, asked: Asked, { coming, caller, isLate }: Coming): ReadableStream<Uint8Array> {
  const meter = createMeter()
  let answered: Answered<Streamed> | undefined
  let allowance: ReturnType<typeof createAllowance> | undefined
  let last: ChatChunk | undefined
  let firstContentMs: number | undefined
  const settled = Promise.withResolvers<void>()
  // Registered now: after the last byte it would be too late to ask for time.
  ctx.defer(settled.promise)
  if (ctx.arrival) ctx.arrival.isBooked = true

  const source = coming.then((outcome): ChatStream => {
    answered = outcome
    allowance = createAllowance(ctx, asked, outcome.target)
    return outcome.answer.stream
  })
  // Nobody may be there to hear of a failure.
  source.catch(() => undefined)

  const pass = (parts: readonly StreamPart[]): Passed | Promise<Passed> => {
    const events: string[] = []
    for (const part of parts) {
      meter.take(part)
      last = part.chunk
      const event = visible(part, asked)
      if (event !== undefined) events.push(event)
    }
    if (firstContentMs === undefined && meter.started()) firstContentMs = ctx.now()
    const isComplete = meter.started() && meter.open().length === 0
    const covered = !allowance || isComplete || allowance.covers(meter.running())
    return covered === true ? { events, stop: false } : whenCovered(events, covered)
  }

  const whenCovered = async (events: readonly string[], covered: boolean | Promise<boolean>): Promise<Passed> =>
    (await covered) ? { events, stop: false } : { events: [...events, budgetEnd(meter, last)], stop: true }

  const usageOf = (how: RelayEnd) => countedUsage(asked, meter, how === 'finished' || meter.open().length === 0)

  const ending = (how: RelayEnd, bytesOut: number): Ending | undefined => {
    if (!answered) return undefined
    const status = statusOf(how)
    return {
      operation: asked.operation,
      status,
      target: answered.target,
      ...usageOf(how),
      attempts: answered.attempts,
      stream: true,
      firstContentMs,
      errorCode: typeof how === 'object' && status === 'error' ? errorFacts(how.failed).code : undefined,
      bytesOut,
    }
  }

  return relay({
    source,
    pass,
    epilogue: (how) => [
      ...(how === 'finished' ? forgottenEnds(meter, last) : []),
      ...(asked.includeUsage && answered ? [usageEvent(answered.target, usageOf(how), last)] : []),
    ],
    failure: (error) => failureEvent(error, meter, last),
    shape: caller.shape,
    onLeave: caller.leave,
    drains: asked.onDisconnect === 'drain',
    signal: ctx.signal,
    nowMs: ctx.now,
    isLate,
    onEnd: (how, bytesOut) => {
      caller.end()
      settled.resolve(close(how, bytesOut))
    },
  })

  async function close(how: RelayEnd, bytesOut: number): Promise<void> {
    // A vendor may begin to answer while its caller leaves.
    if (how === 'left') await source.catch(() => undefined)
    const end = ending(how, bytesOut)
    if (end) await book(ctx, end)
  }
}

type Counted = { usage: Usage; estimated: boolean }

/**
 * The vendor's figures, or ours. What a vendor says before its answer is complete is provisional, and may be nothing
 * but zeros: then the larger count holds.
 */
function countedUsage(asked: Asked, meter: Meter, isComplete: boolean): Counted {
  const usage = meter.reported()
  if (usage && isComplete) return { usage, estimated: false }
  const prompt = usage && usage.prompt > 0 ? usage.prompt : estimatedPrompt(asked, estimateTokens)
  const completion = Math.max(usage?.completion ?? 0, meter.delivered())
  return { usage: { ...(usage ?? NO_USAGE), prompt, completion }, estimated: true }
}

function statusOf(how: RelayEnd): LedgerStatus {
  if (typeof how === 'object')
    return how.failed instanceof UpstreamError && how.failed.fault === 'aborted' ? 'aborted' : 'error'
  return how === 'left' ? 'aborted' : how === 'stopped' ? 'budget' : 'ok'
}

/** The usage is always asked of the vendor, for our books; a caller who did not ask for it does not see it. */
function visible({ chunk, json }: StreamPart, { includeUsage }: Asked): string | undefined {
  // Legal in several `data:` lines, but not every client puts them together.
  if (!chunk.usage) return json.includes('\n') ? JSON.stringify(chunk) : json
  if (chunk.choices.length === 0) return undefined
  return JSON.stringify({ ...chunk, usage: includeUsage ? null : undefined })
}

const identityOf = (chunk: ChatChunk | undefined) => ({
  id: chunk?.id ?? 'chatcmpl-none',
  object: 'chat.completion.chunk',
  created: chunk?.created ?? 0,
  model: chunk?.model ?? '',
})

function usageEvent(target: Target, { usage, estimated }: Counted, last: ChatChunk | undefined): string {
  const wire = (estimated ? undefined : last?.usage) ?? wireUsageOf(usage)
  const costUsd = usdFromNano(costOf({ target, usage }))
  return JSON.stringify({ ...identityOf(last), choices: [], usage: wire, helix: { cost_usd: costUsd } })
}

/** Ends choices that the caller is still waiting for; one that has its finish reason gets no other. */
const endsOf = (choices: readonly { index: number }[], finishReason: string) =>
  choices.map(({ index }) => ({ index, delta: {}, finish_reason: finishReason }))

/** A vendor that says `[DONE]` without a finish reason means that all is well; clients want to read it. */
function forgottenEnds(meter: Meter, last: ChatChunk | undefined): string[] {
  const choices = meter.open().flatMap((choice) => endsOf([choice], choice.reason))
  return choices.length === 0 ? [] : [JSON.stringify({ ...identityOf(last), choices })]
}

const budgetEnd = (meter: Meter, last: ChatChunk | undefined): string =>
  JSON.stringify({ ...identityOf(last), choices: endsOf(meter.open(), 'length'), helix: { reason: 'budget' } })

/** The convention of OpenRouter, which the official clients turn into an exception. */
function failureEvent(error: unknown, meter: Meter, last: ChatChunk | undefined): string {
  return JSON.stringify({
    ...identityOf(last),
    choices: endsOf(last ? meter.open() : [{ index: 0 }], 'error'),
    error: { ...errorFacts(error), param: null },
  })
}

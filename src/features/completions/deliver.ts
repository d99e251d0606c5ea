import type { Ctx } from '../../core/context.ts'
import type { LedgerStatus } from '../../core/ledger.ts'
import {
  type ChatAnswer,
  type ChatCompletion,
  type ChatStream,
  type StreamPart,
  UpstreamError,
  type Usage,
} from '../../core/models.ts'
import { usdTextFromNano } from '../../core/money.ts'
import { estimateTokens } from '../../core/tokens.ts'
import { sseHeaders } from '../../http/sse.ts'
import { wholeResponse } from '../../http/whole.ts'
import { type KeptAnswer, MAX_ANSWER_BYTES } from '../cache/service.ts'
import { book, costOf, type Ending, NO_USAGE } from '../ledger/service.ts'
import { answerHeaders, type Dispatched, ignoredHeader } from '../routing/service.ts'
import { createAllowance } from './allowance.ts'
import { createAssembler } from './assemble.ts'
import { type Caching, keepIfWhole } from './cached.ts'
import { createMeter, type Meter, writtenIn } from './meter.ts'
import { errorFacts, type Passed, type RelayEnd, relay } from './relay.ts'
import type { Counted, MaybeLater, Rendering } from './rendering.ts'
import { type Asked, estimatedPrompt } from './request.ts'
import { keeperFor } from './signatures.ts'

/**
 * Who the answer is for, and how they read it: `leave` says that they hung up, `end` that nothing more comes from the
 * vendor.
 */
export type Caller = {
  leave: () => void
  end: () => void
  rendering: Rendering<MaybeLater>
  /** Whether the answer is kept for others; undefined for one that is not. */
  caching?: Caching | undefined
}

type Answered<A extends ChatAnswer = ChatAnswer> = Extract<Dispatched<A>, { ok: true }>
type Whole = Extract<ChatAnswer, { kind: 'whole' }>
type Streamed = Extract<ChatAnswer, { kind: 'stream' }>

/** An answer in one piece; what it cost is known before it leaves. */
export async function deliverWhole(
  ctx: Ctx,
  asked: Asked,
  { answer, caller, ...outcome }: Answered<Whole> & { caller: Caller },
): Promise<Response> {
  const ending = bookWhole(ctx, asked, { ...outcome, answer })
  const slot = caller.caching?.slot
  if (slot) {
    const kept = keptOf(ending, { ...outcome, answer }, answer.completion)
    ctx.defer(keepIfWhole(ctx, asked, { slot, answer: kept, native: answer.native }))
  }
  return wholeResponse(JSON.stringify(await caller.rendering.whole(answer, ending)), {
    headers: {
      ...headersOf(ctx, asked, { answer, ...outcome }),
      ...caller.caching?.headers,
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-helix-cost-usd': usdTextFromNano(costOf(ending)),
    },
  })
}

/** Has an answer in one piece booked once everything else is done, and tells what it comes to. */
export function bookWhole(ctx: Ctx, asked: Asked, { answer, target, attempts }: Answered<Whole>): Ending {
  const usage = answer.usage ?? estimatedUsage(asked, writtenIn(answer.completion))
  const estimated = answer.usage === undefined
  const ending: Ending = {
    operation: asked.operation,
    status: 'ok',
    target,
    usage,
    estimated,
    attempts,
    stream: false,
  }
  ctx.defer(book(ctx, ending))
  return ending
}

/** What is kept of an answer for those who ask the same. */
const keptOf = (ending: Ending, { target, answer }: Answered, completion: ChatCompletion): KeptAnswer => ({
  completion,
  usage: ending.usage,
  estimated: ending.estimated,
  target: target.id,
  ignored: answer.ignored,
  costNanoUsd: costOf(ending),
})

/** What no target got stands behind what this one did not. */
function headersOf(ctx: Ctx, { lost = [] }: Asked, { answer, ...outcome }: Answered): Record<string, string> {
  return answerHeaders(ctx, { ...outcome, answer: { ignored: [...answer.ignored, ...lost] } })
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
  const headers = { ...headersOf(ctx, asked, outcome), ...caller.caching?.headers, ...sseHeaders }
  return new Response(stream, { headers })
}

/** A stream that begins with comments, because its vendor is still silent; who will answer is not known yet. */
export function deliverLater(
  ctx: Ctx,
  asked: Asked,
  later: { coming: Promise<Answered<Streamed>>; caller: Caller },
): Response {
  const headers = { ...ignoredHeader(asked.lost ?? []), ...later.caller.caching?.headers, ...sseHeaders }
  return new Response(streamOf(ctx, asked, { ...later, isLate: true }), { headers })
}

type Coming = { coming: Promise<Answered<Streamed>>; caller: Caller; isLate: boolean }

function streamOf(ctx: Ctx, asked: Asked, { coming, caller, isLate }: Coming): ReadableStream<Uint8Array> {
  const meter = createMeter()
  const writer = caller.rendering.stream(asked, meter.open)
  const slot = caller.caching?.slot
  const assembler = slot && createAssembler(MAX_ANSWER_BYTES)
  let answered: Answered<Streamed> | undefined
  let allowance: ReturnType<typeof createAllowance> | undefined
  let keeper: ReturnType<typeof keeperFor>
  let firstContentMs: number | undefined
  const settled = Promise.withResolvers<void>()
  // Registered now: after the last byte it would be too late to ask for time.
  ctx.defer(settled.promise)
  if (ctx.arrival) ctx.arrival.isBooked = true

  const source = coming.then((outcome): ChatStream => {
    answered = outcome
    allowance = createAllowance(ctx, asked, outcome.target)
    keeper = keeperFor(ctx, asked, outcome.target)
    return outcome.answer.stream
  })
  // Nobody may be there to hear of a failure.
  source.catch(() => undefined)

  const pass = (parts: readonly StreamPart[]): Passed | Promise<Passed> => {
    let text: MaybeLater = ''
    for (const part of parts) {
      meter.take(part)
      text = behind(text, writer.part(part))
    }
    if (firstContentMs === undefined && meter.started()) firstContentMs = ctx.now()
    const isComplete = meter.started() && meter.open().length === 0
    const covered = !allowance || isComplete || allowance.covers(meter.running())
    return covered === true && typeof text === 'string' ? { text, stop: false } : whenCovered(text, covered)
  }

  /** A caller who has read the end of an answer may be back with it at once. */
  const passKept = (parts: readonly StreamPart[]): Passed | Promise<Passed> => {
    assembler?.take(parts)
    const keeping = keeper?.take(parts)
    const passed = pass(parts)
    return keeping ? Promise.all([passed, keeping]).then(([first]) => first) : passed
  }

  const whenCovered = async (text: MaybeLater, covered: boolean | Promise<boolean>): Promise<Passed> => ({
    text: await text,
    stop: !(await covered),
  })

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
    pass: passKept,
    epilogue: (how) => {
      const counted = usageOf(how)
      const costNanoUsd = answered ? costOf({ target: answered.target, usage: counted.usage }) : 0
      return writer.end(how, { ...counted, costNanoUsd })
    },
    failure: (error) => writer.failure(error),
    keepAlive: writer.keepAlive,
    onLeave: caller.leave,
    drains: asked.onDisconnect === 'drain',
    signal: ctx.signal,
    nowMs: ctx.now,
    opening: isLate ? writer.opening() : undefined,
    onEnd: (how, bytesOut) => {
      caller.end()
      settled.resolve(close(how, bytesOut))
    },
  })

  async function close(how: RelayEnd, bytesOut: number): Promise<void> {
    // A vendor may begin to answer while its caller leaves.
    if (how === 'left') await source.catch(() => undefined)
    const end = ending(how, bytesOut)
    if (!end) return
    await Promise.all([book(ctx, end), how === 'finished' && keep(end)])
  }

  async function keep(end: Ending): Promise<void> {
    const completion = assembler?.completion()
    if (!slot || !answered || !completion) return
    await keepIfWhole(ctx, asked, { slot, answer: keptOf(end, answered, completion) })
  }
}

const behind = (text: MaybeLater, more: MaybeLater): MaybeLater =>
  typeof text === 'string' && typeof more === 'string'
    ? text + more
    : Promise.all([text, more]).then((texts) => texts.join(''))

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

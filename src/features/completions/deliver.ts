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
import { usdFromNano } from '../../core/money.ts'
import { estimateTokens } from '../../core/tokens.ts'
import { wireUsageOf } from '../../core/usage.ts'
import { sseHeaders } from '../../http/sse.ts'
import { book, costOf, type Ending, NO_USAGE } from '../ledger/service.ts'
import type { Dispatched, Target } from '../routing/service.ts'
import { createAllowance } from './allowance.ts'
import { createMeter, type Meter } from './meter.ts'
import { errorFacts, type Passed, type RelayEnd, relay } from './relay.ts'
import { type Asked, estimatedPrompt } from './request.ts'

type Answered<A extends ChatAnswer = ChatAnswer> = Extract<Dispatched<A>, { ok: true }>
type Whole = Extract<ChatAnswer, { kind: 'whole' }>
type Streamed = Extract<ChatAnswer, { kind: 'stream' }>

/** What every answer tells of itself, whatever its form. */
function answerHeaders(ctx: Ctx, { answer, target, attempts }: Answered): Record<string, string> {
  const elapsedMs = String(ctx.now() - ctx.startedMs)
  const headers: Record<string, string> = {
    'x-helix-provider': target.provider.name,
    'x-helix-model': encodeURI(target.model),
    'x-helix-attempts': String(attempts),
    'x-helix-latency-ms': elapsedMs,
    'openai-processing-ms': elapsedMs,
  }
  if (answer.ignored.length > 0) headers['x-helix-ignored-params'] = answer.ignored.join(',')
  return headers
}

/** An answer in one piece; what it cost is known before it leaves. */
export function deliverWhole(ctx: Ctx, asked: Asked, { answer, ...outcome }: Answered<Whole>): Response {
  const { completion } = answer
  const usage = answer.usage ?? estimatedUsage(asked, JSON.stringify(completion.choices))
  const ending: Ending = {
    operation: 'chat',
    status: 'ok',
    target: outcome.target,
    usage,
    estimated: answer.usage === undefined,
    attempts: outcome.attempts,
    stream: false,
  }
  ctx.defer(book(ctx, ending))
  const body = completion.usage ? completion : { ...completion, usage: wireUsageOf(usage) }
  return new Response(JSON.stringify(body), {
    headers: {
      ...answerHeaders(ctx, { answer, ...outcome }),
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-helix-cost-usd': String(usdFromNano(costOf(ending))),
    },
  })
}

const estimatedUsage = (asked: Asked, written: string): Usage => ({
  ...NO_USAGE,
  prompt: estimatedPrompt(asked, estimateTokens),
  completion: estimateTokens(written),
})

/** A stream whose first content has arrived. */
export function deliverStream(ctx: Ctx, asked: Asked, outcome: Answered<Streamed>): Response {
  return new Response(streamOf(ctx, asked, Promise.resolve(outcome)), {
    headers: { ...answerHeaders(ctx, outcome), ...sseHeaders },
  })
}

/** A stream that begins with comments, because its vendor is still silent; who will answer is not known yet. */
export function deliverLater(ctx: Ctx, asked: Asked, outcome: Promise<Answered<Streamed>>): Response {
  return new Response(streamOf(ctx, asked, outcome), { headers: sseHeaders })
}

function streamOf(ctx: Ctx, asked: Asked, coming: Promise<Answered<Streamed>>): ReadableStream<Uint8Array> {
  const meter = createMeter()
  let answered: Answered<Streamed> | undefined
  let allowance: ReturnType<typeof createAllowance> | undefined
  let last: ChatChunk | undefined
  let firstContentMs: number | undefined
  const settled = Promise.withResolvers<void>()
  // Registered now: after the last byte it would be too late to ask for time.
  ctx.defer(settled.promise)

  const source = coming.then((outcome): ChatStream => {
    answered = outcome
    allowance = createAllowance(ctx, asked, outcome.target)
    return outcome.answer.stream
  })

  const pass = async (parts: readonly StreamPart[]): Promise<Passed> => {
    const events: string[] = []
    for (const part of parts) {
      meter.take(part)
      last = part.chunk
      const event = visible(part, asked)
      if (event !== undefined) events.push(event)
    }
    if (firstContentMs === undefined && meter.started()) firstContentMs = ctx.now()
    if (!allowance || (await allowance.covers(meter.running()))) return { events, stop: false }
    return { events: [...events, budgetEnd(last)], stop: true }
  }

  const ending = (how: RelayEnd): Ending | undefined => {
    if (!answered) return undefined
    const usage = meter.reported()
    return {
      operation: 'chat',
      status: statusOf(how),
      target: answered.target,
      usage: usage ?? countedUsage(asked, meter),
      estimated: usage === undefined,
      attempts: answered.attempts,
      stream: true,
      firstContentMs,
      errorCode: typeof how === 'object' ? errorFacts(how.failed).code : undefined,
    }
  }

  return relay({
    source,
    pass,
    epilogue: () => (asked.includeUsage && answered ? [usageEvent(answered.target, asked, meter, last)] : []),
    failure: (error) => failureEvent(error, last),
    nowMs: ctx.now,
    onEnd: (how) => settled.resolve(close(how)),
  })

  async function close(how: RelayEnd): Promise<void> {
    if (how === 'left') answered?.answer.stream.cancel()
    const end = ending(how)
    if (end) await book(ctx, end)
  }
}

function statusOf(how: RelayEnd): LedgerStatus {
  if (typeof how === 'object')
    return how.failed instanceof UpstreamError && how.failed.fault === 'aborted' ? 'aborted' : 'error'
  return how === 'left' ? 'aborted' : how === 'stopped' ? 'budget' : 'ok'
}

const countedUsage = (asked: Asked, meter: Meter): Usage => ({
  ...NO_USAGE,
  prompt: estimatedPrompt(asked, estimateTokens),
  completion: meter.delivered(),
})

/** The usage is always asked of the vendor, for our books; a caller who did not ask for it does not see it. */
function visible({ chunk, json }: StreamPart, { includeUsage }: Asked): string | undefined {
  if (!chunk.usage) return json
  if (chunk.choices.length === 0) return undefined
  return JSON.stringify({ ...chunk, usage: includeUsage ? null : undefined })
}

const identityOf = (chunk: ChatChunk | undefined) => ({
  id: chunk?.id ?? 'chatcmpl-none',
  object: 'chat.completion.chunk',
  created: chunk?.created ?? 0,
  model: chunk?.model ?? '',
})

function usageEvent(target: Target, asked: Asked, meter: Meter, last: ChatChunk | undefined): string {
  const usage = meter.reported() ?? countedUsage(asked, meter)
  const wire = last?.usage ?? wireUsageOf(usage)
  const costUsd = usdFromNano(costOf({ target, usage }))
  return JSON.stringify({ ...identityOf(last), choices: [], usage: wire, helix: { cost_usd: costUsd } })
}

const budgetEnd = (last: ChatChunk | undefined): string =>
  JSON.stringify({
    ...identityOf(last),
    choices: [{ index: 0, delta: {}, finish_reason: 'length' }],
    helix: { reason: 'budget' },
  })

/** The convention of OpenRouter, which the official clients turn into an exception. */
function failureEvent(error: unknown, last: ChatChunk | undefined): string {
  return JSON.stringify({
    ...identityOf(last),
    choices: [{ index: 0, delta: {}, finish_reason: 'error' }],
    error: { ...errorFacts(error), param: null },
  })
}

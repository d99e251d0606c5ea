import type { Ctx } from '../../core/context.ts'
import { usdTextFromNano } from '../../core/money.ts'
import { sseHeaders } from '../../http/sse.ts'
import { wholeResponse } from '../../http/whole.ts'
import { book, type Ending, NO_USAGE } from '../ledger/service.ts'
import { answerHeaders } from '../routing/service.ts'
import type { Hit } from './cached.ts'
import { relay } from './relay.ts'
import type { MaybeLater, Rendering } from './rendering.ts'
import { replayed } from './replay.ts'
import type { Asked } from './request.ts'

/** An answer that was kept, and for whom it is told again. */
export type Again = Hit & { rendering: Rendering<MaybeLater> }

/** Tells an answer that was kept to whoever asks the same again: no provider is asked, and nothing is paid. */
export function deliverKept(ctx: Ctx, asked: Asked, again: Again): Response | Promise<Response> {
  return asked.stream ? streamAgain(ctx, asked, again) : wholeAgain(ctx, asked, again)
}

async function wholeAgain(ctx: Ctx, asked: Asked, again: Again): Promise<Response> {
  const { completion, usage, estimated } = again.kept
  ctx.defer(book(ctx, endingOf(asked, again)))
  const answer = { kind: 'whole', completion, usage, ignored: [] } as const
  return wholeResponse(JSON.stringify(marked(await again.rendering.whole(answer, { usage, estimated }))), {
    headers: {
      ...headersOf(ctx, asked, again),
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-helix-cost-usd': usdTextFromNano(0),
    },
  })
}

/** The counts are those of the answer when it was made: what this call did not cost stands beside them. */
function marked(body: unknown): unknown {
  if (typeof body !== 'object' || body === null) return body
  const helix = 'helix' in body && typeof body.helix === 'object' ? body.helix : {}
  return { ...body, helix: { ...helix, cached: true, cost_usd: 0 } }
}

function streamAgain(ctx: Ctx, asked: Asked, again: Again): Response {
  const { kept, rendering } = again
  const writer = rendering.stream(asked, () => [])
  const settled = Promise.withResolvers<void>()
  // Registered now: after the last byte it would be too late to ask for time.
  ctx.defer(settled.promise)
  if (ctx.arrival) ctx.arrival.isBooked = true
  const firstContentMs = ctx.now()
  const stream = relay({
    source: replayed(kept.completion),
    pass: async (parts) => {
      const texts = await Promise.all(parts.map((part) => writer.part(part)))
      return { text: texts.join(''), stop: false }
    },
    epilogue: (how) =>
      writer.end(how, { usage: kept.usage, estimated: kept.estimated, costNanoUsd: 0, isCached: true }),
    failure: (error) => writer.failure(error),
    keepAlive: writer.keepAlive,
    onLeave: () => undefined,
    drains: false,
    signal: ctx.signal,
    nowMs: ctx.now,
    onEnd: (how, bytesOut) => {
      const status = how === 'finished' ? 'ok' : how === 'left' ? 'aborted' : 'error'
      settled.resolve(book(ctx, { ...endingOf(asked, again), status, firstContentMs, bytesOut }))
    },
  })
  return new Response(stream, { headers: { ...headersOf(ctx, asked, again), ...sseHeaders } })
}

/** Booked like every call, with nothing used: what it held is free again. */
const endingOf = (asked: Asked, { target }: Again): Ending => ({
  operation: asked.operation,
  status: 'ok',
  target,
  usage: NO_USAGE,
  estimated: false,
  attempts: 0,
  stream: asked.stream,
})

const headersOf = (ctx: Ctx, { lost = [] }: Asked, { kept, target, headers }: Again): Record<string, string> => ({
  ...answerHeaders(ctx, { answer: { ignored: [...kept.ignored, ...lost] }, target, attempts: 0 }),
  ...headers,
})

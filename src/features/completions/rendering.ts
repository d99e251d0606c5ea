import type { ChatAnswer, ChatChunk, StreamPart, Usage } from '../../core/models.ts'
import { usdFromNano } from '../../core/money.ts'
import { wireUsageOf } from '../../core/usage.ts'
import { SSE_DONE, sseComment, sseData } from '../../http/sse.ts'
import type { Meter } from './meter.ts'
import { errorFacts } from './relay.ts'
import type { Asked } from './request.ts'

/** The vendor's counts, or ours. */
export type Counted = { usage: Usage; estimated: boolean }

/** What a call cost, beside what its answer counts: nothing where the answer was kept. */
export type Booked = Counted & { costNanoUsd: number; isCached?: boolean }

/** Text at once, or text that is waited for: what follows it is worked out meanwhile, and written behind it. */
export type MaybeLater = string | Promise<string>

/** How answers are written for the callers of one interface. */
export type Rendering<Text extends MaybeLater = string> = {
  /** The body of an answer in one piece, or its coming. */
  whole(answer: Extract<ChatAnswer, { kind: 'whole' }>, counted: Counted): unknown
  /** A writer for one stream; `open` tells which choices have begun and not ended. */
  stream(asked: Asked, open: Meter['open']): StreamWriter<Text>
}

/** Writes one stream. Everything it gives is text of whole events, ready to be sent. What comes later never rejects. */
export type StreamWriter<Text extends MaybeLater = string> = {
  /** What a response begins with whose vendor has been silent for long. */
  opening(): string
  /** A sign of life. */
  keepAlive: string
  /** What the caller sees of a part; may be nothing. */
  part(part: StreamPart): Text
  /** The vendor has said all, or its budget is used up. */
  end(how: 'finished' | 'stopped', booked: Booked): Text
  /** The answer broke off. Nothing is written after it. */
  failure(error: unknown): Text
}

const KEEP_ALIVE = sseComment('keep-alive')

/** OpenAI's chat completions and their chunks. */
export const openAiRendering = {
  whole: ({ completion }, { usage }) => (completion.usage ? completion : { ...completion, usage: wireUsageOf(usage) }),
  stream({ includeUsage }, open) {
    let last: ChatChunk | undefined
    return {
      opening: () => KEEP_ALIVE,
      keepAlive: KEEP_ALIVE,
      part(part) {
        last = part.chunk
        const event = visible(part, includeUsage)
        return event === undefined ? '' : sseData(event)
      },
      end(how, booked) {
        const ends = how === 'finished' ? forgottenEnds(open, last) : [budgetEnd(open, last)]
        const usages = includeUsage ? [usageEvent(booked, last)] : []
        return [...ends, ...usages].map(sseData).join('') + SSE_DONE
      },
      failure: (error) => sseData(failureEvent(error, open, last)),
    }
  },
} satisfies Rendering

/** The usage is always asked of the vendor, for our books; a caller who did not ask for it does not see it. */
function visible({ chunk, json }: StreamPart, includeUsage: boolean): string | undefined {
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

function usageEvent(booked: Booked, last: ChatChunk | undefined): string {
  const wire = (booked.estimated ? undefined : last?.usage) ?? wireUsageOf(booked.usage)
  const helix = { cost_usd: usdFromNano(booked.costNanoUsd), ...(booked.isCached && { cached: true }) }
  return JSON.stringify({ ...identityOf(last), choices: [], usage: wire, helix })
}

/** Ends choices that the caller is still waiting for; one that has its finish reason gets no other. */
const endsOf = (choices: readonly { index: number }[], finishReason: string) =>
  choices.map(({ index }) => ({ index, delta: {}, finish_reason: finishReason }))

/** A vendor that says `[DONE]` without a finish reason means that all is well; clients want to read it. */
function forgottenEnds(open: Meter['open'], last: ChatChunk | undefined): string[] {
  const choices = open().flatMap((choice) => endsOf([choice], choice.reason))
  return choices.length === 0 ? [] : [JSON.stringify({ ...identityOf(last), choices })]
}

const budgetEnd = (open: Meter['open'], last: ChatChunk | undefined): string =>
  JSON.stringify({ ...identityOf(last), choices: endsOf(open(), 'length'), helix: { reason: 'budget' } })

/** The convention of OpenRouter, which the official clients turn into an exception. */
function failureEvent(error: unknown, open: Meter['open'], last: ChatChunk | undefined): string {
  return JSON.stringify({
    ...identityOf(last),
    choices: endsOf(last ? open() : [{ index: 0 }], 'error'),
    error: { ...errorFacts(error), param: null },
  })
}

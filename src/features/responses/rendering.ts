import { nowSeconds } from '../../core/clock.ts'
import type { Ctx } from '../../core/context.ts'
import type { ChatChunk } from '../../core/models.ts'
import { usdFromNano } from '../../core/money.ts'
import { sseComment } from '../../http/sse.ts'
import { type Booked, errorFacts, type MaybeLater, type Rendering, type StreamWriter } from '../completions/service.ts'
import { namedItems } from './conversation.ts'
import { createEvents, noEvents } from './events.ts'
import { createOutput, type Output } from './output.ts'
import { piecesOf, piecesOfWhole } from './pieces.ts'
import type { Conversation } from './request.ts'
import { type Fields, type Opening, type Outcome, type ResponseObject, responseOf } from './response.ts'
import type { CreateResponse } from './schema.ts'
import { keepInTime } from './store.ts'
import { thoughtSealer } from './thoughts.ts'

const KEEP_ALIVE = sseComment('keep-alive')

type Ended = Omit<Outcome, 'output' | 'isStored'>

/** One response on its way: what it is, and how it ends. */
type Answering = Opening & {
  isStored: boolean
  createOutput(events: Parameters<typeof createOutput>[0]['events']): Output
  /** The object that its caller gets last, stored where they let it. */
  end(output: Output, ended: Ended): Promise<ResponseObject>
}

/** OpenAI's response objects and their events, stored before the caller has read the last of them. */
export function responsesRendering(
  ctx: Ctx,
  request: CreateResponse,
  conversation: Pick<Conversation, 'own'>,
): Rendering<MaybeLater> {
  const response = openResponse(ctx, request, conversation)
  return {
    async whole({ completion }, { usage, estimated }) {
      const output = response.createOutput(noEvents)
      const [choice] = completion.choices
      for (const piece of choice ? piecesOfWhole(choice.message, choice.logprobs) : []) output.take(piece)
      const ending = endingOf(choice?.finish_reason)
      output.finish(ending.status)
      const helix = estimated ? { estimated } : undefined
      return response.end(output, { ...ending, model: completion.model, usage, helix })
    },
    stream: ({ body }) => createWriter(response, body.model),
  }
}

function openResponse(ctx: Ctx, request: CreateResponse, { own }: Pick<Conversation, 'own'>): Answering {
  const opening: Opening = { id: ctx.newId('resp'), createdAt: nowSeconds(ctx), request }
  const isStored = request.store !== false
  const keepsThoughts = (request.include ?? []).includes('reasoning.encrypted_content')
  const sealer = thoughtSealer(ctx, { orgId: ctx.caller.orgId, requestId: ctx.requestId })

  const keep = (response: ResponseObject): Promise<boolean> => {
    const { id } = opening
    const previousId = request.previous_response_id ?? null
    return keepInTime(ctx, { id, previousId, input: namedItems(id, own), response })
  }

  return {
    ...opening,
    isStored,
    createOutput: (events) =>
      createOutput({ responseId: opening.id, events, seal: keepsThoughts ? sealer : undefined }),
    async end(output, ended) {
      await output.settled()
      const completedAt = ended.status === 'completed' ? nowSeconds(ctx) : undefined
      const objectOf = (items: readonly Fields[], stored: boolean) =>
        responseOf(opening, { ...ended, completedAt, output: items, isStored: stored })
      return objectOf(output.items(), isStored && (await keep(objectOf(output.keptItems(), true))))
    },
  }
}

/** Why an answer ended, in the words of this interface. */
function endingOf(finishReason: string | null | undefined) {
  if (finishReason === 'length') return { status: 'incomplete', reason: 'max_output_tokens' } as const
  if (finishReason === 'content_filter') return { status: 'incomplete', reason: 'content_filter' } as const
  return { status: 'completed' } as const
}

function createWriter(response: Answering, askedModel: string): StreamWriter<MaybeLater> {
  const events = createEvents()
  const output = response.createOutput(events)
  let hasBegun = false
  let model = askedModel
  let finishReason: string | null | undefined

  const begin = (chunk?: ChatChunk): void => {
    if (hasBegun) return
    hasBegun = true
    model = chunk?.model ?? model
    const opened = responseOf(response, { status: 'in_progress', model, output: [], isStored: response.isStored })
    events.add('response.created', { response: opened })
    events.add('response.in_progress', { response: opened })
  }

  const end = async (ended: Ended): Promise<string> => {
    begin()
    output.finish(ended.status === 'completed' ? 'completed' : 'incomplete')
    const ending = await response.end(output, ended)
    events.add(`response.${ended.status}`, { response: ending })
    return events.take()
  }

  return {
    opening() {
      begin()
      // Nothing of a beginning is waited for.
      return String(events.take()) + KEEP_ALIVE
    },
    keepAlive: KEEP_ALIVE,
    part({ chunk }) {
      begin(chunk)
      if (chunk.model) model = chunk.model
      for (const choice of chunk.choices) {
        // Several choices are never asked for.
        if (choice.index !== 0) continue
        for (const piece of piecesOf(choice)) output.take(piece)
        finishReason ??= choice.finish_reason
      }
      return events.take()
    },
    end(how, booked) {
      const ending = how === 'stopped' ? endingOf('length') : endingOf(finishReason)
      return end({ ...ending, model, usage: booked.usage, helix: helixOf(how, booked) })
    },
    failure: (error) => end({ status: 'failed', model, error: failureOf(error) }),
  }
}

const helixOf = (how: 'finished' | 'stopped', { costNanoUsd, estimated, isCached }: Booked): Fields => ({
  cost_usd: usdFromNano(costNanoUsd),
  ...(estimated && { estimated }),
  ...(isCached && { cached: true }),
  ...(how === 'stopped' && { reason: 'budget' }),
})

function failureOf(error: unknown): { code: string; message: string } {
  const { code, message } = errorFacts(error)
  return { code: code === 'rate_limit_exceeded' ? code : 'server_error', message }
}

import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { UpstreamError } from '../../core/models.ts'
import { nodeFaultOf } from '../../core/node-fault.ts'
import { OutboundError } from '../../core/outbound.ts'
import { passGate } from '../gates/service.ts'
import { type SelectedSpeech, speechProvider } from '../node-models/service.ts'

/** With the time that a model takes to be loaded. */
const EMBED_MS = 60_000
const MOST_ANSWER_BYTES = 2_000_000

/** A model of an agent that puts pictures and texts into one space. `id` is `node/model`. */
export type Embedder = Pick<SelectedSpeech, 'provider' | 'model'> & { id: string }

/** Pictures in base64. */
export type Embeddable = { image: string } | { text: string }

/** What embeds pictures: that model, or the best there is. Undefined where none can be reached. */
export async function embedderFor(ctx: Ctx, modelId?: string): Promise<Embedder | undefined> {
  try {
    const { provider, model } = await speechProvider(ctx, 'image_embedding', modelId)
    return { provider, model, id: `${provider.name}/${model}` }
  } catch (error) {
    if (error instanceof AppError && NONE.has(error.code)) return undefined
    throw error
  }
}

const NONE: ReadonlySet<string> = new Set(['no_capable_model', 'model_not_found', 'wrong_capability'])

const Embedded = z.object({ data: z.array(z.object({ index: z.int(), embedding: z.array(z.number()).min(1) })) })

/**
 * The vector of a picture or a text, behind the gate of the node. Throws 503 `model_overloaded`, 504 `upstream_timeout`,
 * and 502 `network_error`, `provider_error` and `model_output_invalid`.
 */
export async function embedOne(ctx: Ctx, embedder: Embedder, input: Embeddable): Promise<number[]> {
  const { provider, model } = embedder
  const { node } = provider
  if (!node) throw new Error(`${embedder.id} is on no node`)
  const signal = AbortSignal.any([ctx.signal, AbortSignal.timeout(EMBED_MS)])
  const work = { class: 'vision' } as const
  try {
    const leave = await passGate(ctx, { provider, work, leftMs: EMBED_MS, waits: true, signal })
    try {
      const response = await node.send({
        server: 'agent',
        method: 'POST',
        path: '/v1/embeddings',
        headers: { 'content-type': 'application/json' },
        body: new TextEncoder().encode(JSON.stringify({ model, input: [input] })),
        signal,
        headersTimeoutMs: EMBED_MS,
      })
      return vectorIn(await textOf(response))
    } finally {
      leave()
    }
  } catch (error) {
    throw asAppError(error, embedder)
  }
}

/** Throws `UpstreamError` for an error of the agent. */
async function textOf(response: Response): Promise<string> {
  const text = await response.text()
  if (!response.ok) {
    const vendor = { message: text.slice(0, 4000) }
    throw new UpstreamError('status', 'The agent refused.', { status: response.status, vendor })
  }
  if (text.length > MOST_ANSWER_BYTES) throw new UpstreamError('garbage', 'The answer of the agent is too long.')
  return text
}

function vectorIn(text: string): number[] {
  const read = Embedded.safeParse(parsed(text))
  const vector = read.success ? read.data.data[0]?.embedding : undefined
  if (vector) return vector
  throw new AppError('model_output_invalid', 'The agent answered with something that is no vector.', {
    details: { fault: 'bad_output' },
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function asAppError(error: unknown, { id }: Embedder): unknown {
  const isTimeout =
    (error instanceof OutboundError && error.fault === 'timeout') ||
    (error instanceof DOMException && error.name === 'TimeoutError')
  if (isTimeout) {
    return new AppError('upstream_timeout', `'${id}' did not answer in time.`, { details: { fault: 'timeout' } })
  }
  if (error instanceof OutboundError) {
    const details = { fault: 'tunnel_down' }
    return new AppError('network_error', `The agent of '${id}' could not be reached.`, { details, cause: error })
  }
  if (!(error instanceof UpstreamError)) return error
  const fault = nodeFaultOf(error)
  const about = { details: { fault }, cause: error }
  if (error.fault !== 'overloaded') return new AppError('provider_error', `'${id}' could not embed this.`, about)
  const retryAfterSeconds = Math.ceil((error.retryAfterMs ?? 1000) / 1000)
  return new AppError('model_overloaded', `'${id}' has as much to do as it takes.`, { ...about, retryAfterSeconds })
}

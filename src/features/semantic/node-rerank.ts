import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { UpstreamError } from '../../core/models.ts'
import { nodeFaultOf } from '../../core/node-fault.ts'
import { OutboundError } from '../../core/outbound.ts'
import { passGate } from '../gates/service.ts'
import { type SelectedSpeech, speechProvider } from '../node-models/service.ts'

/** With the time that a model takes to be loaded. */
const RERANK_MS = 60_000
const MAX_ANSWER_CHARS = 1_000_000
const MAX_WORDS = 4000

export type Ranking = { query: string; documents: readonly string[] }
type Ranker = Pick<SelectedSpeech, 'provider' | 'model'>

/** How relevant each document is, in their order, 0 to 1. */
export type Ranked = { scores: number[]; model: string }

/** The models of the nodes' agents that rank texts, the best first; the one of that name alone. Empty where there is none. */
export async function rankersFor(ctx: Ctx, modelName: string | undefined): Promise<readonly Ranker[]> {
  try {
    const { fallbacks, ...first } = await speechProvider(ctx, 'rerank', modelName)
    return [first, ...fallbacks]
  } catch (error) {
    if (error instanceof AppError && NONE.has(error.code)) return []
    throw error
  }
}

const NONE: ReadonlySet<string> = new Set(['no_capable_model', 'model_not_found', 'wrong_capability'])

/**
 * Has the first of these models rank that can. Throws 503 `model_overloaded`, 504 `upstream_timeout` and 502
 * `network_error`, `provider_error` and `model_output_invalid` when all of them fail.
 */
export async function rankOnNodes(ctx: Ctx, rankers: readonly Ranker[], ranking: Ranking): Promise<Ranked> {
  let failure: unknown
  for (const [at, ranker] of rankers.entries()) {
    try {
      return await rankOn(ctx, ranker, { ...ranking, waits: at === rankers.length - 1 })
    } catch (error) {
      failure = asAppError(error, ranker)
      if (!(failure instanceof AppError) || ctx.signal.aborted) throw failure
      ctx.log.warn('rerank_failed', { model: idOf(ranker), code: failure.code })
    }
  }
  throw failure
}

const idOf = ({ provider, model }: Ranker): string => `${provider.name}/${model}`

async function rankOn(ctx: Ctx, ranker: Ranker, { query, documents, waits }: Ranking & { waits: boolean }) {
  const { provider, model } = ranker
  const { node } = provider
  if (!node) throw new Error(`${idOf(ranker)} is on no node`)
  const signal = AbortSignal.any([ctx.signal, AbortSignal.timeout(RERANK_MS)])
  const leave = await passGate(ctx, { provider, work: { class: 'embed' }, leftMs: RERANK_MS, waits, signal })
  try {
    const response = await node.send({
      server: 'agent',
      method: 'POST',
      path: '/v1/rerank',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, query, documents }),
      signal,
      headersTimeoutMs: RERANK_MS,
    })
    return { scores: scoresIn(await textOf(response), documents.length), model: idOf(ranker) }
  } finally {
    leave()
  }
}

async function textOf(response: Response): Promise<string> {
  const text = await response.text()
  if (response.ok) return text.slice(0, MAX_ANSWER_CHARS)
  const vendor = { message: text.slice(0, MAX_WORDS) }
  throw new UpstreamError('status', 'The agent refused.', { status: response.status, vendor })
}

const Answer = z.object({ results: z.array(z.object({ index: z.int().min(0), relevance_score: z.number() })) })

/** Every document exactly once, or it is no answer. */
function scoresIn(text: string, count: number): number[] {
  const read = Answer.safeParse(parsed(text))
  const scores = new Map(read.data?.results.map(({ index, relevance_score: score }) => [index, score]))
  const inOrder = Array.from({ length: count }, (_, at) => scores.get(at))
  const known = inOrder.filter((score) => score !== undefined)
  if (known.length === count && read.data?.results.length === count) return asShares(known)
  throw new AppError('model_output_invalid', 'The agent answered with something that ranks not all documents.', {
    details: { fault: 'bad_output' },
  })
}

/** Some models answer with what comes before the logistic function. */
const asShares = (scores: readonly number[]): number[] =>
  scores.every((score) => score >= 0 && score <= 1) ? [...scores] : scores.map((score) => 1 / (1 + Math.exp(-score)))

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function asAppError(error: unknown, ranker: Ranker): unknown {
  const id = idOf(ranker)
  if (isTimeout(error)) {
    return new AppError('upstream_timeout', `'${id}' did not answer in time.`, { details: { fault: 'timeout' } })
  }
  if (error instanceof OutboundError) {
    const details = { fault: 'tunnel_down' }
    return new AppError('network_error', `The agent of '${id}' could not be reached.`, { details, cause: error })
  }
  if (!(error instanceof UpstreamError)) return error
  const about = { details: { fault: nodeFaultOf(error) }, cause: error }
  if (error.fault !== 'overloaded') return new AppError('provider_error', `'${id}' could not rank this.`, about)
  const retryAfterSeconds = Math.ceil((error.retryAfterMs ?? 1000) / 1000)
  return new AppError('model_overloaded', `'${id}' has as much to do as it takes.`, { ...about, retryAfterSeconds })
}

const isTimeout = (error: unknown): boolean =>
  (error instanceof OutboundError && error.fault === 'timeout') ||
  (error instanceof DOMException && error.name === 'TimeoutError')

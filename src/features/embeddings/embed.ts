import type { Ask, Policy } from '../../core/admission.ts'
import type { Ctx, Deps } from '../../core/context.ts'
import type { EmbedAnswer, EmbedBody, Usage } from '../../core/models.ts'
import { usdTextFromNano } from '../../core/money.ts'
import { byteBound, estimateTokens, roughTokens } from '../../core/tokens.ts'
import { wholeResponse } from '../../http/whole.ts'
import { costNanoUsd } from '../catalog/service.ts'
import { passGate } from '../gates/service.ts'
import { book, costOf, type Ending, errorCodeOf, NO_USAGE } from '../ledger/service.ts'
import {
  answerHeaders,
  askFor,
  candidatesOf,
  decide,
  dispatch,
  failureOf,
  giveBackUnplanned,
  holdOf,
  isBilledUnanswered,
  knowsEnough,
  learnNodes,
  openDecision,
  type PlannedTarget,
  type RoutedCall,
  refuseUnheld,
  releaseUnused,
  shapeOfTexts,
  type Target,
  timeoutsFor,
  type Wanted,
  wishOf,
} from '../routing/service.ts'
import type { EmbeddingRequest } from './schema.ts'

/** What a tokenizer may add to each input beside its bytes. */
const TOKENS_PER_INPUT = 4

/** What only callers inside the program can say of where their texts go. */
export type Bounds = Pick<Wanted, 'nodesOnly' | 'targetId'>
type Bound = { request: EmbeddingRequest; bounds?: Bounds }

export const askEmbedding = (deps: Deps, policy: Policy, request: EmbeddingRequest): Ask | Promise<Ask> =>
  askVectors(deps, policy, { request })

export function askVectors(deps: Deps, policy: Policy, bound: Bound): Ask | Promise<Ask> {
  if (knowsEnough(deps, policy, wantedOf(bound))) return embeddingAsk(deps, policy, bound)
  return learnNodes(deps).then(() => embeddingAsk(deps, policy, bound))
}

function embeddingAsk(deps: Deps, policy: Policy, bound: Bound): Ask {
  const { request } = bound
  const { targets: candidates, held: targets, wishes } = askFor(deps, policy, routingOf(bound))
  const limited = policy.limits.some((limit) => limit.metric === 'tokens')
  const { timeout_ms: timeoutMs, run_id: runId, priority } = request.helix ?? {}
  const call = { operation: 'embedding' as const, policy, targets, candidates, timeoutMs, runId, priority }
  return {
    tokens: limited ? count(request, (text) => roughTokens(text.length)) : 0,
    ...candidatesOf(candidates),
    ...wishes,
    hold: holdOf(deps, call, (target) => worstCase(request, target)),
  }
}

/** Vectors for texts, in their order. Throws `AppError`. */
export async function embed(ctx: Ctx, request: EmbeddingRequest): Promise<Response> {
  return respond(ctx, request, await embedded(ctx, { request }))
}

/** What came of an admitted call, and how it was booked. */
export type Embedded = { answer: EmbedAnswer; ending: Ending & { target: Target } }

/** The same vectors for a caller inside the program. Throws `AppError`; what was held is settled on every way out. */
export async function embedded(ctx: Ctx, bound: Bound): Promise<Embedded> {
  const { request } = bound
  const planned = await prepare(ctx, bound)
  const timeoutMs = request.helix?.timeout_ms
  const outcome = await dispatch<EmbedAnswer>(ctx, planned, {
    repeatable: true,
    timeoutMs,
    attempt: (_target, planned) => attemptEmbed(ctx, request, planned),
  }).catch((error: unknown) => {
    releaseUnused(ctx)
    throw error
  })
  if (!outcome.ok) {
    const error = failureOf(outcome.failures, outcome.passedOver)
    const last = outcome.failures.at(-1)
    if (last) {
      const estimated = isBilledUnanswered(last.error)
      const usage = estimated ? { ...NO_USAGE, prompt: count(request, estimateTokens) } : NO_USAGE
      const ending = { ...endingOf(last.target, usage, outcome.failures.length), estimated }
      const isAborted = last.error.fault === 'aborted'
      const about = isAborted
        ? { status: 'aborted' as const }
        : { status: 'error' as const, errorCode: errorCodeOf(error) }
      ctx.defer(book(ctx, { ...ending, ...about }))
    } else releaseUnused(ctx)
    throw error
  }
  const { answer, target, attempts } = outcome
  const prompt = answer.promptTokens ?? count(request, estimateTokens)
  const ending = {
    ...endingOf(target, { ...NO_USAGE, prompt }, attempts),
    estimated: answer.promptTokens === undefined,
  }
  ctx.defer(book(ctx, ending))
  return { answer, ending }
}

async function attemptEmbed(
  ctx: Ctx,
  request: EmbeddingRequest,
  { target, timeoutMs: attemptMs, isLast }: PlannedTarget & { isLast: boolean },
): Promise<EmbedAnswer> {
  const { signal, startedMs } = ctx
  const { timeout_ms: timeoutMs, priority, strict } = request.helix ?? {}
  const timeouts = () => timeoutsFor(target, { startedMs, timeoutMs, attemptMs }, ctx.now())
  const { provider, model } = target
  const leave = await passGate(ctx, {
    provider,
    work: { class: 'embed', priority },
    leftMs: timeouts().totalMs,
    waits: isLast,
    signal,
  })
  try {
    const body = vendorBody(request)
    return await provider.embed({ requestId: ctx.requestId, model, body, strict, signal, timeouts: timeouts() })
  } finally {
    leave()
  }
}

async function prepare(ctx: Ctx, bound: Bound) {
  const { model, taskType = 'embedding_generation' } = wantedOf(bound)
  openDecision(ctx, { model, isStream: false, taskType })
  try {
    const call = routingOf(bound)
    const refuse = (targets: readonly Target[]) => refuseUnheld(ctx.admission, { targets, runId: call.runId })
    const planned = await decide(ctx, { ...call, refuse })
    giveBackUnplanned(ctx, planned)
    return planned
  } catch (error) {
    releaseUnused(ctx)
    throw error
  }
}

const routingOf = (bound: Bound): RoutedCall => ({
  wanted: wantedOf(bound),
  shape: () => shapeOfTexts(count(bound.request, (text) => roughTokens(text.length))),
  runId: bound.request.helix?.run_id,
  worstCaseNanoUsd: (target) => worstCase(bound.request, target),
})

function respond(ctx: Ctx, request: EmbeddingRequest, { answer, ending }: Embedded): Response {
  const { target, usage, attempts } = ending
  const body = {
    object: 'list',
    data: answer.vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: request.encoding_format === 'base64' ? toBase64(vector) : vector,
    })),
    model: target.model,
    usage: { prompt_tokens: usage.prompt, total_tokens: usage.prompt },
  }
  return wholeResponse(JSON.stringify(body), {
    headers: {
      ...answerHeaders(ctx, { answer, target, attempts }),
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-helix-cost-usd': usdTextFromNano(costOf(ending)),
    },
  })
}

/** OpenAI's base64 form: little-endian 32-bit floats. */
function toBase64(vector: readonly number[]): string {
  const bytes = new DataView(new ArrayBuffer(vector.length * 4))
  vector.forEach((value, at) => {
    bytes.setFloat32(at * 4, value, true)
  })
  return Buffer.from(bytes.buffer).toString('base64')
}

const wantedOf = ({ request: { model, provider, force_provider, helix }, bounds }: Bound): Wanted => ({
  model,
  provider: helix?.provider ?? provider ?? force_provider ?? undefined,
  fallbacks: helix?.fallback_models,
  kind: 'embedding',
  routing: wishOf(helix?.routing),
  taskType: helix?.task_type,
  ...bounds,
})

const endingOf = (target: Target, usage: Usage, attempts: number): Embedded['ending'] => ({
  operation: 'embedding',
  status: 'ok',
  target,
  usage,
  estimated: false,
  attempts,
  stream: false,
})

/** Token ids count themselves. */
function count({ input }: EmbeddingRequest, ofText: (text: string) => number): number {
  const items = Array.isArray(input) ? input : [input]
  let tokens = 0
  for (const item of items) {
    if (typeof item === 'string') tokens += ofText(item)
    else tokens += typeof item === 'number' ? 1 : item.length
  }
  return tokens
}

function worstCase(request: EmbeddingRequest, { price }: Target): number | undefined {
  if (!price) return undefined
  const inputs = Array.isArray(request.input) ? request.input.length : 1
  const prompt = count(request, byteBound) + inputs * TOKENS_PER_INPUT
  return costNanoUsd(price, { ...NO_USAGE, prompt })
}

/** The body for a vendor: no field is null, which some of them take for a value. */
function vendorBody(request: EmbeddingRequest): EmbedBody {
  const { provider, force_provider, helix, model, input, dimensions, encoding_format, ...rest } = request
  return {
    ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null)),
    model,
    input,
    ...(dimensions ? { dimensions } : {}),
    ...(encoding_format ? { encoding_format } : {}),
  }
}

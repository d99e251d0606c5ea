import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { LedgerOperation } from '../../core/ledger.ts'
import { type Provider, UpstreamError } from '../../core/models.ts'
import type { NodeClass } from '../../core/node.ts'
import { nodeFaultOf } from '../../core/node-fault.ts'
import { OutboundError } from '../../core/outbound.ts'
import { readText } from '../../core/read-text.ts'
import type { TaskType } from '../../core/tasks.ts'
import { nodePrice } from '../catalog/service.ts'
import { passGate } from '../gates/service.ts'
import { book, errorCodeOf, NO_USAGE } from '../ledger/service.ts'
import { openDecision, reasonOf } from '../routing/service.ts'
import { callWithin } from './within.ts'

const MOST_BYTES = 2_000_000
const MOST_ERROR_BYTES = 4000

/** A model of a node's agent. */
export type AgentModel = { provider: Provider; model: string }

export type AgentCall<T> = {
  /** The first that answers as it should; the others stand in for it. */
  models: readonly [AgentModel, ...AgentModel[]]
  path: '/v1/embeddings' | '/v1/rerank'
  /** What is asked, but for the model. */
  body: object
  operation: Extract<LedgerOperation, 'embedding' | 'rerank'>
  taskType: TaskType
  /** What it is to the node. */
  class: NodeClass
  /** Of each attempt, with the time that a model takes to be loaded. */
  timeoutMs: number
  /** Undefined for what is no answer to it. */
  read: (answer: unknown) => T | undefined
}

/**
 * Asks a model of a node's agent, behind the gate of the node. Booked as a call of its own, at no price, under the
 * request that it is made for. Throws 503 `model_overloaded`, 504 `upstream_timeout`, and 502 `network_error`,
 * `provider_error` and `model_output_invalid`.
 */
export async function askAgent<T>(ctx: Ctx, call: AgentCall<T>): Promise<{ value: T; target: string }> {
  const own = callWithin(ctx)
  const { models, taskType } = call
  openDecision(own, { model: idOf(models[0]), isStream: false, taskType })
  const decision = own.arrival?.decision
  if (decision) {
    const targets = models.map((one) => ({ target: { id: idOf(one) }, reason: 'capable' }))
    decision.plan = { strategy: 'nodes', targets, excluded: [] }
  }
  let failure: unknown
  for (const [at, asked] of models.entries()) {
    const startMs = own.now()
    const note = (outcome: string): void => {
      const duration_ms = Math.max(0, own.now() - startMs)
      decision?.attempts.push({ target: idOf(asked), outcome, duration_ms })
    }
    const isLast = at === models.length - 1
    try {
      const value = await attempt(own, call, { asked, waits: isLast })
      note('ok')
      own.defer(booked(own, call, { asked, attempts: at + 1 }))
      return { value, target: idOf(asked) }
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      note(reasonOf(error))
      failure = asAppError(error, asked)
      if (isLast || ctx.signal.aborted) {
        own.defer(booked(own, call, { asked, attempts: at + 1, error: failure }))
        break
      }
      ctx.log.warn('attempt_failed', { request_id: own.requestId, target: idOf(asked), fault: error.fault })
    }
  }
  throw failure
}

const idOf = ({ provider, model }: AgentModel): string => `${provider.name}/${model}`

type Attempt = { asked: AgentModel; waits: boolean }

/** Throws `UpstreamError`. */
async function attempt<T>(ctx: Ctx, call: AgentCall<T>, { asked, waits }: Attempt): Promise<T> {
  const { provider } = asked
  const late = AbortSignal.timeout(call.timeoutMs)
  const signal = AbortSignal.any([ctx.signal, late])
  try {
    const work = { class: call.class }
    const leave = await passGate(ctx, { provider, work, leftMs: call.timeoutMs, waits, signal })
    try {
      const value = call.read(await jsonOf(await sent(call, asked, signal)))
      if (value !== undefined) return value
      throw new UpstreamError('garbage', `${idOf(asked)} answered with something else than was asked for.`)
    } finally {
      leave()
    }
  } catch (cause) {
    if (ctx.signal.aborted) throw new UpstreamError('aborted', 'The caller left.', { cause })
    if (late.aborted) throw new UpstreamError('timeout', `${idOf(asked)} did not answer in time.`, { cause })
    throw cause
  }
}

async function sent<T>({ path, body, timeoutMs }: AgentCall<T>, asked: AgentModel, signal: AbortSignal) {
  const { node } = asked.provider
  if (!node) throw new Error(`${idOf(asked)} is on no node`)
  // A picture is large: as a text it would be held twice while it is sent.
  const bytes = new TextEncoder().encode(JSON.stringify({ model: asked.model, ...body }))
  const headers = { 'content-type': 'application/json' }
  const request = { server: 'agent', method: 'POST', path, headers, body: bytes, signal } as const
  return node.send({ ...request, headersTimeoutMs: timeoutMs }).catch((cause: unknown) => {
    if (!(cause instanceof OutboundError)) throw cause
    throw new UpstreamError(cause.fault === 'timeout' ? 'timeout' : 'connect', cause.message, { cause })
  })
}

/** Undefined for what is no JSON. Throws `UpstreamError` for an error of the agent, half an answer, and one without an end. */
async function jsonOf(response: Response): Promise<unknown> {
  const { text, isCut } = await readText(response, response.ok ? MOST_BYTES : MOST_ERROR_BYTES).catch(
    (cause: unknown) => {
      throw new UpstreamError('cut', 'The answer of the agent broke off.', { cause })
    },
  )
  if (!response.ok) {
    throw new UpstreamError('status', 'The agent refused.', { status: response.status, vendor: { message: text } })
  }
  if (isCut) throw new UpstreamError('garbage', 'The answer of the agent is too long.')
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function asAppError(error: UpstreamError, asked: AgentModel): AppError {
  const id = idOf(asked)
  const about = { details: { fault: nodeFaultOf(error) }, cause: error }
  switch (error.fault) {
    case 'timeout':
      return new AppError('upstream_timeout', `'${id}' did not answer in time.`, about)
    case 'connect':
      return new AppError('network_error', `The agent of '${id}' could not be reached.`, about)
    case 'garbage':
      return new AppError('model_output_invalid', `'${id}' answered with something else than was asked for.`, about)
    case 'overloaded': {
      const retryAfterSeconds = Math.ceil((error.retryAfterMs ?? 1000) / 1000)
      return new AppError('model_overloaded', `'${id}' has as much to do as it takes.`, { ...about, retryAfterSeconds })
    }
    default:
      return new AppError('provider_error', `'${id}' could not do this.`, about)
  }
}

type Ended = { asked: AgentModel; attempts: number; error?: unknown }

async function booked<T>(ctx: Ctx, { operation }: AgentCall<T>, { asked, attempts, error }: Ended): Promise<void> {
  const isAborted = error !== undefined && ctx.signal.aborted
  await book(ctx, {
    operation,
    status: error === undefined ? 'ok' : isAborted ? 'aborted' : 'error',
    target: { ...asked, price: nodePrice },
    usage: NO_USAGE,
    estimated: false,
    attempts,
    stream: false,
    ...(error !== undefined && !isAborted && { errorCode: errorCodeOf(error) }),
  })
}

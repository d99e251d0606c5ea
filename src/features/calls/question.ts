import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { ChatCompletion, ChatMessage, Usage } from '../../core/models.ts'
import type { Priority } from '../../core/routing.ts'
import type { TaskType } from '../../core/tasks.ts'
import { type Asked, askCompletion, ChatRequest, completeWhole, readRequest } from '../completions/service.ts'
import { textOf } from '../ensembles/service.ts'
import { toItsEnd, within } from './within.ts'

/** What a model is asked, in one piece. */
export type Question = {
  /** As a caller would name it: `node/model`, `auto`, `gpt-4o`. */
  model: string
  /** Further names, tried in order. */
  fallbacks?: readonly string[]
  /** In OpenAI's shape; images are `image_url` parts with `data:` URLs. */
  messages: ChatMessage[]
  /** The most output tokens. */
  maxTokens: number
  temperature?: number
  taskType: TaskType
  /** It never leaves the team's own machines. */
  nodesOnly?: boolean
  /** All attempts together; undefined leaves the time to the targets. */
  timeoutMs?: number
  /** How probable each token was, where the target can tell. */
  logprobs?: boolean
  /** With `logprobs`: so many of the likeliest tokens at each place, 0 to 20. */
  topLogprobs?: number
  /** Who goes first where calls have to wait; `normal` unless said. */
  priority?: Priority
}

/** What came of it. */
export type Reply = {
  /** Of the first choice; empty where it says nothing. */
  text: string
  completion: ChatCompletion
  /** `id` is `provider/model`. */
  target: { id: string; provider: string; model: string }
  /** As the target counted; undefined where it did not, and the books have our own estimate. */
  usage: Usage | undefined
  costNanoUsd: number
  /** From the question to the answer, waiting and retries included. */
  ms: number
}

/**
 * Asks a model in the name of the context's caller, as if they had called it themselves: under their policy, token
 * limits, budgets and routing, with a decision and a ledger row of its own. Never answered from the cache, never by
 * several models. Ends with the context's signal.
 *
 * Throws `AppError`: 400 `invalid_request` (refused by the model, or a cost that cannot be held under a hard budget) and
 * `wrong_capability`, 403 `permission_denied`, 404 `model_not_found`, 429 `rate_limit_exceeded`, `request_exceeds_limit`
 * and `insufficient_quota`, 502 `provider_error`, `network_error` and `all_providers_failed`, 503 `no_capable_model`,
 * `model_overloaded` and `budget_unavailable`, 504 `upstream_timeout`. For `nodesOnly` a name that only vendors serve is
 * 404, `auto` without a capable node 503.
 */
export const ask = (ctx: Ctx, question: Question): Promise<Reply> => askFor(ctx, question, {})

/** The same, with further fields of the body. */
export const askFor = (ctx: Ctx, question: Question, fields: Readonly<Record<string, unknown>>): Promise<Reply> =>
  toItsEnd(ctx, answerTo(ctx, question, fields))

async function answerTo(ctx: Ctx, question: Question, fields: Readonly<Record<string, unknown>>): Promise<Reply> {
  const asked = askedOf(question, fields)
  const own = await within(ctx, (deps, policy) => askCompletion(deps, policy, asked))
  const { completion, target, usage, estimated, costNanoUsd } = await completeWhole(own, asked)
  return {
    text: textOf(completion),
    completion,
    target: { id: target.id, provider: target.provider.name, model: target.model },
    usage: estimated ? undefined : usage,
    costNanoUsd,
    ms: Math.max(0, ctx.now() - own.startedMs),
  }
}

function askedOf(question: Question, fields: Readonly<Record<string, unknown>>): Asked {
  const { model, messages, maxTokens, temperature, logprobs, topLogprobs } = question
  const read = ChatRequest.safeParse({
    model,
    messages,
    max_tokens: maxTokens,
    ...(temperature !== undefined && { temperature }),
    ...(logprobs && { logprobs, ...(topLogprobs !== undefined && { top_logprobs: topLogprobs }) }),
    ...fields,
  })
  if (!read.success) throw unaskable(read.error.issues[0]?.path ?? [])
  const asked = readRequest(read.data)
  const { fallbacks, taskType, nodesOnly, timeoutMs, priority } = question
  return {
    ...asked,
    wanted: { ...asked.wanted, fallbacks, taskType, ...(nodesOnly && { nodesOnly }) },
    timeoutMs,
    priority,
    cache: { mode: 'off' },
  }
}

const unaskable = (path: readonly PropertyKey[]): AppError =>
  new AppError('invalid_request', `No model can be asked this: ${path.map(String).join('.')} is out of bounds.`, {
    param: path.map(String).join('.'),
  })

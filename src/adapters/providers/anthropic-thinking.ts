import type { ChatBody } from '../../core/models.ts'
import { type ClaudeTraits, type Effort, effortLevels } from './anthropic-models.ts'
import { isObject, type JsonObject } from './json-shape.ts'

/** Anthropic refuses smaller budgets, and budgets that leave nothing of `max_tokens` for the answer. */
const LEAST_BUDGET_TOKENS = 1024
/** Beyond this the vendor advises against answers that somebody waits for. */
const MOST_BUDGET_TOKENS = 32_000

/** How much of `max_tokens` a model may think, where it wants a number. */
const budgetShares: Readonly<Record<string, number>> = {
  minimal: 0,
  low: 0.2,
  medium: 0.5,
  high: 0.8,
  xhigh: 0.9,
  max: 0.9,
}

const ladder: readonly string[] = effortLevels

/** What is sent; `thinks` tells whether this request asks for thinking. */
export type Thinking = { thinking?: JsonObject; effort?: Effort; thinks: boolean }

type Asked = {
  body: ChatBody
  traits: ClaudeTraits
  maxTokens: number
  /** A call of a tool is demanded, which excludes thinking. */
  forced: boolean
  /** The conversation as it will be sent. */
  turns: readonly JsonObject[]
}

/**
 * `reasoning_effort` in the words of the model's generation. A caller's own `thinking` object, which OpenAI's wire
 * does not know, passes as it is. What cannot be honoured is added to `ignored`.
 */
export function thinkingOf(asked: Asked, ignored: Set<string>): Thinking {
  const { body, traits } = asked
  const wish = body.reasoning_effort ?? undefined
  const own = isObject(body.thinking) && typeof body.thinking.type === 'string' ? body.thinking : undefined
  if (wish === 'none' && own === undefined) return withoutThinking(traits, ignored)
  const known = typeof wish === 'string' && Object.hasOwn(budgetShares, wish) ? wish : undefined
  if (wish !== undefined && known === undefined) ignored.add('reasoning_effort')
  const effort = known === undefined ? undefined : nearestEffort(known, traits.efforts)
  const thinking = own ?? (known === undefined ? undefined : thinkingConfig(asked, known))
  if (known !== undefined && isLess({ wish: known, effort, thinking })) ignored.add('reasoning_effort')
  return {
    ...(thinking === undefined ? {} : { thinking }),
    ...(effort === undefined ? {} : { effort }),
    thinks: thinking?.type === 'enabled' || thinking?.type === 'adaptive',
  }
}

function withoutThinking({ off, efforts }: ClaudeTraits, ignored: Set<string>): Thinking {
  if (off === 'omit') return { thinks: false }
  if (off !== 'never') return { thinking: { type: off }, thinks: false }
  ignored.add('reasoning_effort')
  const [least] = efforts
  return { ...(least === undefined ? {} : { effort: least }), thinks: false }
}

/** The level itself or the next lower one that the model has. */
function nearestEffort(wish: string, supported: readonly Effort[]): Effort | undefined {
  const rank = ladder.indexOf(wish)
  return supported.findLast((level) => ladder.indexOf(level) <= rank) ?? supported[0]
}

const isLess = ({ wish, effort, thinking }: { wish: string; effort: Effort | undefined; thinking: unknown }) =>
  effort === undefined ? thinking === undefined : effort !== wish && wish !== 'minimal'

function thinkingConfig(asked: Asked, wish: string): JsonObject | undefined {
  const { traits, maxTokens, forced, turns } = asked
  if (forced || traits.thinking === 'none') return undefined
  // Newer models leave their thoughts out of the answer unless told otherwise.
  if (traits.thinking === 'adaptive') return { type: 'adaptive', display: 'summarized' }
  if (maxTokens <= LEAST_BUDGET_TOKENS || !mayThinkAfter(turns)) return undefined
  const share = Math.floor(maxTokens * (budgetShares[wish] ?? 0))
  return { type: 'enabled', budget_tokens: Math.min(MOST_BUDGET_TOKENS, Math.max(LEAST_BUDGET_TOKENS, share)) }
}

/**
 * With a budget the vendor wants every turn of a running tool call to begin with its signed thoughts, and refuses to
 * continue a turn that was begun for it. A history of another model has no such thoughts: there it goes on without.
 */
function mayThinkAfter(turns: readonly JsonObject[]): boolean {
  const last = turns.at(-1)
  if (last?.role !== 'user') return false
  if (typeOfFirst(last) !== 'tool_result') return true
  const calling = turns.at(-2)
  return calling !== undefined && /thinking$/.test(typeOfFirst(calling))
}

function typeOfFirst({ content }: JsonObject): string {
  const first: unknown = Array.isArray(content) ? content[0] : undefined
  return isObject(first) ? String(first.type) : ''
}

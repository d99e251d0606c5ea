import type { ChatBody, ChatMessage } from '../../core/models.ts'
import {
  type EnsembleSettings,
  JUDGE_OUTPUT_TOKENS,
  JUDGE_TEMPERATURE,
  judgeMessages,
  MERGE_EXTRA_TOKENS,
  mergedFormat,
  mergeMessages,
  secondRound,
  shownBytes,
  verdictFormat,
} from '../ensembles/service.ts'
import type { Target } from '../routing/service.ts'
import { type Asked, outputPerChoice } from './request.ts'

/** What each call of a panel is sent. What the caller said in another wire is said in chat's alone wherever we add to it. */

/** A member answers what was asked; as a stream where its caller has the patience of one. */
export const memberAsked = (asked: Asked): Asked => ({
  ...asked,
  includeUsage: false,
  body: withStream(asked.body, asked.stream),
})

function withStream({ stream: _own, stream_options: _options, ...body }: ChatBody, stream: boolean): ChatBody {
  return stream ? { ...body, stream } : body
}

/** The most of one answer of this target that others are shown. */
const bytesFor = (asked: Asked, target: Target): number => shownBytes(outputPerChoice(asked.body, target))

/** The same for every member of a panel. */
export const bytesOf = (asked: Asked, members: readonly Target[]): number =>
  Math.max(0, ...members.map((member) => bytesFor(asked, member)))

type Shown = { texts: readonly string[]; bytes: number }

export function secondAsked(
  asked: Asked,
  { own, others, bytes }: { own: string; others: readonly string[]; bytes: number },
): Asked {
  const { messages } = asked.body
  const again = memberAsked(withoutTranslation(asked))
  return { ...again, body: { ...again.body, messages: secondRound({ messages, own, others, bytes }) } }
}

export function judgeAsked(asked: Asked, judge: Target, shown: Shown): Asked {
  const messages = judgeMessages({ ...shown, messages: asked.body.messages })
  const format = canFormat(judge) ? { response_format: verdictFormat } : {}
  return helperAsked(asked, judge, { messages, max_tokens: JUDGE_OUTPUT_TOKENS, ...format })
}

export function mergeAsked(asked: Asked, judge: Target, shown: Shown): Asked {
  const messages = mergeMessages({ ...shown, messages: asked.body.messages })
  const limit = asked.body.max_completion_tokens ?? asked.body.max_tokens
  const room = limit === undefined || limit === null ? {} : { max_tokens: limit + MERGE_EXTRA_TOKENS }
  const format = canFormat(judge) ? { response_format: mergedFormat } : {}
  return helperAsked(asked, judge, { messages, ...room, ...format })
}

type HelperBody = { messages: ChatMessage[]; max_tokens?: number; response_format?: unknown }

/** In one piece, whatever the caller wants: it is read as a whole. */
function helperAsked(asked: Asked, judge: Target, { messages, ...rest }: HelperBody): Asked {
  const temperature = takesTemperature(judge) ? { temperature: JUDGE_TEMPERATURE } : {}
  return {
    ...withoutTranslation(asked),
    strict: false,
    stream: false,
    includeUsage: false,
    body: { model: judge.id, messages, ...rest, ...temperature },
  }
}

const withoutTranslation = ({ translation: _words, recalled: _signed, ...asked }: Asked): Asked => asked

const canFormat = ({ entry }: Target): boolean => entry?.capabilities.includes('json_schema') ?? false

/** OpenAI's models that think refuse any temperature but their own. */
const takesTemperature = ({ entry }: Target): boolean =>
  !(entry?.vendor === 'openai' && entry.capabilities.includes('reasoning'))

/** How a panel's rounds of calls follow each other, at the most. */
export const roundsOf = ({ strategy, isSequential }: EnsembleSettings): number =>
  (isSequential ? 2 : 1) + (strategy === 'round' || strategy === 'best_of_n' ? 1 : strategy === 'merge' ? 2 : 0)

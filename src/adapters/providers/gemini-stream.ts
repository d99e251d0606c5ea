import { type ChatChunk, type ChunkChoice, type StreamPart, UpstreamError } from '../../core/models.ts'
import type { PartDecoder } from './chat-stream.ts'
import { type AnswerSource, identityOf } from './gemini-answer.ts'
import { blockReasonOf, failureIn, fieldsOf, finishReasonOf, saidBy, usageIn } from './gemini-candidate.ts'
import { annotationsIn, logprobsIn } from './gemini-extras.ts'
import { countOf, isObject, type JsonObject, objectsOf, parseJson, stringOf } from './json-shape.ts'
import { createSseReader } from './sse.ts'
import { reportedError } from './upstream-http.ts'

/** Of one candidate, over all events. */
type State = { native: string | undefined; calls: number; text: string }

/**
 * Reads Gemini's events, each a whole response with the next parts, as OpenAI's chunks. There is no event that says
 * the end: it is the transport's end, once every candidate has its reason. So reasons and usage, of which the last
 * one told counts, leave in chunks of their own at the end; some models tell a reason in every event.
 */
export function createGeminiDecoder({ upstream, model }: AnswerSource): PartDecoder {
  const events = createSseReader()
  const states = new Map<number, State>()
  let head: ReturnType<typeof identityOf> | undefined
  let usage: ChatChunk['usage']
  let blockReason: string | undefined
  let started = false

  function readEvent(data: string, parts: StreamPart[]): void {
    if (data === '' || data.trim() === '[DONE]') return
    const given = parseJson(data)
    const parsed: unknown = Array.isArray(given) ? given[0] : given
    if (!isObject(parsed)) throw new UpstreamError('garbage', `${upstream.name} sent an event that is not an object.`)
    const failure = reportedError(upstream, parsed)
    if (failure !== undefined) throw failure
    head ??= identityOf(parsed, model)
    usage = usageIn(parsed) ?? usage
    blockReason ??= blockReasonOf(parsed)
    for (const [position, candidate] of objectsOf(parsed.candidates).entries()) {
      readCandidate(candidate, countOf(candidate.index) ?? position, parts)
    }
  }

  function readCandidate(candidate: JsonObject, index: number, parts: StreamPart[]): void {
    const state = states.get(index)
    const current = state ?? { native: undefined, calls: 0, text: '' }
    states.set(index, current)
    const delta = { ...(state === undefined ? OPENING : {}), ...deltaOf(candidate, current) }
    const logprobs = logprobsIn(candidate)
    if (Object.keys(delta).length > 0 || logprobs !== undefined) {
      emit(parts, [{ index, delta, ...(logprobs === undefined ? {} : { logprobs }), finish_reason: null }])
    }
    const failure = failureIn(candidate, upstream)
    if (failure !== undefined) throw failure
    current.native = stringOf(candidate.finishReason) || current.native
  }

  function emit(parts: StreamPart[], choices: ChunkChoice[], extra: Pick<ChatChunk, 'usage'> = {}): void {
    const chunk: ChatChunk = { ...head, object: 'chat.completion.chunk', choices, ...extra }
    parts.push({ chunk, json: JSON.stringify(chunk), ...(usage && { counted: usage }) })
  }

  function push(bytes: Uint8Array, parts: StreamPart[]): boolean {
    started = true
    for (const { data } of events.push(bytes)) readEvent(data, parts)
    return false
  }

  function end(parts: StreamPart[]): void {
    const rest = events.end()
    const isWhole = rest === undefined || parseJson(rest.data) !== undefined
    if (rest !== undefined && isWhole) readEvent(rest.data, parts)
    if (isWhole && blockReason !== undefined) endBlocked(blockReason, parts)
    const isComplete = states.size > 0 && [...states.values()].every(({ native }) => native !== undefined)
    if (!isWhole || !isComplete) throw unfinished()
    for (const [index, state] of states) emit(parts, [lastChoice(index, state, blockReason)])
    if (usage) emit(parts, [], { usage })
  }

  /** A prompt may be blocked before its answer began, or while it was written. */
  function endBlocked(native: string, parts: StreamPart[]): void {
    if (states.size === 0) {
      states.set(0, { native, calls: 0, text: '' })
      emit(parts, [{ index: 0, delta: OPENING, finish_reason: null }])
    }
    for (const state of states.values()) state.native ??= native
  }

  function unfinished(): UpstreamError {
    if (started && events.recognised) {
      return new UpstreamError('cut', `${upstream.name} ended its stream before its answer was complete.`)
    }
    return new UpstreamError('garbage', `${upstream.name} sent ${started ? 'no event stream' : 'an empty answer'}.`)
  }

  return { push, end }
}

const OPENING = { role: 'assistant', content: '' }

function deltaOf(candidate: JsonObject, state: State): ChunkChoice['delta'] {
  const said = saidBy(candidate)
  state.text += said.text
  const annotations = annotationsIn(candidate, state.text)
  return {
    ...(said.text === '' ? {} : { content: said.text }),
    ...fieldsOf(said),
    ...(said.calls.length === 0 ? {} : { tool_calls: said.calls.map((call) => ({ index: state.calls++, ...call })) }),
    ...(annotations.length === 0 ? {} : { annotations }),
  }
}

function lastChoice(index: number, { native = '', calls }: State, blockReason: string | undefined): ChunkChoice {
  const finish_reason = native === blockReason ? 'content_filter' : finishReasonOf(native, calls > 0)
  return { index, delta: {}, finish_reason, native_finish_reason: native }
}

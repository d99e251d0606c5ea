import { type GenerateRequest, type Part, signatureOf, signsCalls } from './gemini-rules.ts'
import { countTokens, englishPieces, piecesOf, seedOf } from './words.ts'

/**
 * What a request asks of the fake in its last user message, after `fake:`, as in `fake:loop=3,think`:
 * `loop=n` calls the first tool until n results are there · `parallel=n` so many calls a step · `think` thoughts first ·
 * `block=REASON` no candidates · `end=REASON` that finish reason · `error=503` an error status · `late=429` one inside
 * the stream · `cut` the stream breaks off · `json` the answer is a JSON object.
 */
export type Wishes = Readonly<Record<string, string>>

const lastSpoken = ({ contents }: GenerateRequest): number =>
  contents.findLastIndex(
    ({ role, parts }) => role === 'user' && parts.some(({ functionResponse }) => !functionResponse),
  )

export function wishesOf(request: GenerateRequest): Wishes {
  const text = (request.contents[lastSpoken(request)]?.parts ?? []).map((part) => part.text ?? '').join(' ')
  const wishes = /fake:([\w=,.-]+)/.exec(text)?.[1]?.split(',') ?? []
  return Object.fromEntries(wishes.map((wish) => [wish.split('=')[0] ?? '', wish.split('=')[1] ?? '']))
}

export const promptTokens = ({ contents, systemInstruction, tools }: GenerateRequest): number =>
  countTokens(JSON.stringify([contents, systemInstruction ?? null, tools ?? null]))

/** One event of the stream; together they are the whole answer. */
export type Beat = { parts: Part[]; finishReason?: string }

function calledParts(model: string, name: string, { step, count }: { step: number; count: number }): Part[] {
  return Array.from({ length: count }, (_, position) => {
    const args = { step, position, note: 'a "quote", 雨 and \\' }
    const functionCall = { ...(position % 2 === 0 ? { id: `call-${step}-${position}` } : {}), name, args }
    const isFirst = position === 0 && signsCalls(model)
    return { functionCall, ...(isFirst ? { thoughtSignature: signatureOf(name, args) } : {}) }
  })
}

/** What the model writes for a request, in the order of its events. */
export function beatsFor(request: GenerateRequest, model: string): Beat[] {
  const wishes = wishesOf(request)
  const finishReason = wishes.end ?? 'STOP'
  const thoughts: Beat[] = wishes.think === undefined ? [] : [{ parts: [{ text: 'Let me see. ', thought: true }] }]
  const turn = request.contents.slice(lastSpoken(request) + 1)
  const step = turn.filter(({ role }) => role === 'model').length
  const name = request.tools?.[0]?.functionDeclarations?.[0]?.name
  if (name !== undefined && step < Number(wishes.loop ?? 0)) {
    const parts = calledParts(model, name, { step, count: Number(wishes.parallel ?? 1) })
    return [...thoughts, { parts, finishReason }]
  }
  const asked = JSON.stringify(request.contents)
  const text = wishes.json === undefined ? englishPieces(seedOf(asked), 12) : piecesOf('{"answer": "42", "ok": true}')
  const said = text.map((piece): Beat => ({ parts: [{ text: piece }] }))
  const last: Part[] = signsCalls(model)
    ? [{ text: '', thoughtSignature: signatureOf('', asked.length) }]
    : [{ text: '' }]
  return [...thoughts, ...said, { parts: last, finishReason }]
}

const writtenIn = (beats: readonly Beat[], isThought: boolean): number =>
  countTokens(JSON.stringify(beats.flatMap(({ parts }) => parts.filter((part) => Boolean(part.thought) === isThought))))

/** Cumulative, as every event tells it. */
export function usageFor(request: GenerateRequest, beats: readonly Beat[]) {
  const prompt = promptTokens(request)
  const thoughts = beats.some(({ parts }) => parts.some((part) => part.thought)) ? writtenIn(beats, true) : 0
  const candidates = writtenIn(beats, false)
  return {
    promptTokenCount: prompt,
    candidatesTokenCount: candidates,
    ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {}),
    totalTokenCount: prompt + candidates + thoughts,
  }
}

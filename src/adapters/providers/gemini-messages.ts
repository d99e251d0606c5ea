import type { ChatMessage } from '../../core/models.ts'
import { isThirdGeneration, takesInstructions } from './gemini-models.ts'
import { type Findings, imagePart, partsOf } from './gemini-parts.ts'
import { resultParts } from './gemini-results.ts'
import { isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'
import { argumentsObject } from './neutral.ts'

/** ai.google.dev/gemini-api/docs/thought-signatures: for calls that another model made, or that nobody signed. */
const NO_SIGNATURE = 'skip_thought_signature_validator'

export type Conversation = { contents: JsonObject[]; systemInstruction: { parts: JsonObject[] } | undefined }

/** `results` answer the calls of the `model` turn before; `plain` is what a user says, and begins a new turn. */
type Turn = { kind: 'plain' | 'results' | 'model'; parts: JsonObject[] }

type Translation = { model: string; findings: Findings; toolNames: Map<string, string> }

/**
 * A conversation as `contents` and `systemInstruction`. Neighbouring assistant messages become one content, as do
 * neighbouring tool results, because Gemini wants all results of a step together, right after its calls.
 * Throws `UpstreamError('status', 400)` for what has no form in this wire: results of nobody's call, broken arguments.
 */
export function geminiConversation(messages: readonly ChatMessage[], model: string, findings: Findings): Conversation {
  const translation: Translation = { model, findings, toolNames: new Map() }
  const instructions: JsonObject[] = []
  const turns: Turn[] = []
  for (const [position, message] of messages.entries()) {
    const path = `messages[${position}]`
    if (message.role === 'system' || message.role === 'developer') {
      instructions.push(...partsOf(message.content, `${path}.content`, findings))
    } else append(turns, turnOf(message, path, translation))
    if (message.name !== undefined && !/^(tool|function)$/.test(message.role)) findings.ignored.add('messages[].name')
  }
  if (isThirdGeneration(model)) signCalls(turns)
  // A conversation of nothing but instructions is refused, as are instructions where a model knows none.
  const spoken = instructions.length > 0 && (turns.length === 0 || !takesInstructions(model))
  const contents = (spoken ? [{ kind: 'plain' as const, parts: instructions }, ...turns] : turns).map(contentOf)
  return { contents, systemInstruction: spoken || instructions.length === 0 ? undefined : { parts: instructions } }
}

const contentOf = ({ kind, parts }: Turn): JsonObject => ({ role: kind === 'model' ? 'model' : 'user', parts })

function append(turns: Turn[], turn: Turn): void {
  if (turn.parts.length === 0) return
  const last = turns.at(-1)
  if (last !== undefined && last.kind === turn.kind && turn.kind !== 'plain') last.parts.push(...turn.parts)
  else turns.push(turn)
}

function turnOf(message: ChatMessage, path: string, { model, findings, toolNames }: Translation): Turn {
  if (message.role === 'assistant')
    return { kind: 'model', parts: assistantParts(message, path, { findings, toolNames }) }
  if (message.role === 'tool' || message.role === 'function') {
    const name = toolNames.get(message.tool_call_id ?? '') ?? message.name
    return { kind: 'results', parts: resultParts(message, path, { model, name, findings }) }
  }
  const parts = partsOf(message.content, `${path}.content`, findings)
  // What a user leaves empty is still said; only the vendor knows whether it minds.
  return { kind: 'plain', parts: parts.length > 0 ? parts : [{ text: '' }] }
}

type Calling = Pick<Translation, 'findings' | 'toolNames'>

/** Reasoning text is left out: what a model has thought comes back in its signatures. */
function assistantParts(message: ChatMessage, path: string, { findings, toolNames }: Calling): JsonObject[] {
  const said = partsOf(message.content, `${path}.content`, findings)
  if (said.length === 0 && stringOf(message.refusal)) said.push({ text: message.refusal })
  for (const [position, image] of objectsOf(message.images).entries()) {
    said.push({ ...imagePart(image.image_url, `${path}.images[${position}].image_url`, findings), ...signed(image) })
  }
  const calls = isObject(message.function_call) ? [{ function: message.function_call }] : objectsOf(message.tool_calls)
  const called = calls.flatMap((call, position) => {
    const here = `${path}.tool_calls[${position}]`
    const part = callPart(call, here, toolNames)
    if (part === undefined) findings.ignored.add(here)
    return part === undefined ? [] : [part]
  })
  const signature = signed(message)
  const text = said.findLast((part) => 'text' in part)
  if (text !== undefined) Object.assign(text, signature)
  // A stream's signature may have come in a part without a word, after everything else.
  else if ('thoughtSignature' in signature) called.push({ text: '', ...signature })
  return [...said, ...called]
}

function callPart(call: JsonObject, path: string, toolNames: Map<string, string>): JsonObject | undefined {
  const { id, custom } = call
  const made = isObject(call.function) ? call.function : custom
  const name = isObject(made) ? stringOf(made.name) : undefined
  if (!isObject(made) || !name) return undefined
  const args = made === custom ? { input: made.input } : argumentsObject(made.arguments, `${path}.function.arguments`)
  const known = stringOf(id)
  if (known) toolNames.set(known, name)
  return { functionCall: { ...(known ? { id: known } : {}), name, args }, ...signed(call) }
}

/** Google's own place for a signature in OpenAI's shape. What is no base64 was never signed by Gemini. */
function signed({ extra_content: extra }: JsonObject): { thoughtSignature?: string } {
  const google = isObject(extra) ? extra.google : undefined
  const signature = isObject(google) ? stringOf(google.thought_signature) : undefined
  return signature && /^[\w+/-]+={0,2}$/.test(signature) ? { thoughtSignature: signature } : {}
}

/**
 * The first call of each step must be signed in the current turn. In earlier ones nobody looks at it; there it stays,
 * so that a conversation begins with the same bytes from turn to turn, by which the vendor finds it in its cache.
 */
function signCalls(turns: readonly Turn[]): void {
  for (const { parts } of turns) {
    const first = parts.find((part) => 'functionCall' in part)
    if (first !== undefined) first.thoughtSignature ??= NO_SIGNATURE
  }
}

import { createHash } from 'node:crypto'

type Json = Record<string, unknown>
export type Part = Json & {
  text?: string
  thoughtSignature?: string
  functionCall?: { id?: string; name: string; args?: Json }
  functionResponse?: { id?: string; name: string; response: Json }
}
export type Content = { role?: string; parts: Part[] }
export type GenerateRequest = {
  contents: Content[]
  systemInstruction?: Content
  tools?: { functionDeclarations?: { name: string }[] }[]
  toolConfig?: { functionCallingConfig?: { mode?: string; allowedFunctionNames?: string[] } }
  generationConfig?: Json & { candidateCount?: number; maxOutputTokens?: number; stopSequences?: string[] }
}

const requestFields = ['contents', 'systemInstruction', 'tools', 'toolConfig', 'safetySettings', 'generationConfig']
const configFields = [
  'temperature',
  'topP',
  'topK',
  'candidateCount',
  'seed',
  'presencePenalty',
  'frequencyPenalty',
  'maxOutputTokens',
  'stopSequences',
  'responseMimeType',
  'responseJsonSchema',
  'responseSchema',
  'responseModalities',
  'responseLogprobs',
  'logprobs',
  'thinkingConfig',
]
const dataFields = ['text', 'inlineData', 'fileData', 'functionCall', 'functionResponse']
const partFields = [...dataFields, 'thought', 'thoughtSignature']
const PLACEHOLDER = 'skip_thought_signature_validator'

/** The signature of a call, which holds for this call alone. */
export const signatureOf = (name: string, args: unknown): string =>
  createHash('sha256')
    .update(JSON.stringify([name, args ?? {}]))
    .digest('base64')

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

const unknownIn = (value: Json, known: readonly string[], where: string): string[] =>
  Object.keys(value)
    .filter((name) => !known.includes(name))
    .map((name) => `Invalid JSON payload received. Unknown name "${name}"${where}: Cannot find field.`)

function* problemsOfPart(part: unknown, where: string): Generator<string> {
  if (!isObject(part)) return yield `Invalid value at '${where}'.`
  yield* unknownIn(part, partFields, ` at '${where}'`)
  const data = dataFields.filter((name) => name in part)
  if (data.length !== 1) yield `${where}.data: required oneof field 'data' must have one initialized field`
  const { functionCall: call, functionResponse: response, inlineData: blob, thoughtSignature: signature } = part
  if (isObject(call) && (typeof call.name !== 'string' || !isObject(call.args)))
    yield `Invalid value at '${where}.function_call'.`
  if (isObject(response) && (!response.name || !isObject(response.response)))
    yield `${where}.function_response.name: Name cannot be empty.`
  if (isObject(blob) && !(blob.mimeType && blob.data))
    yield `${where}.inline_data: Unsupported MIME type: ${blob.mimeType}`
  if (signature !== undefined && !/^[\w+/-]+=*$/.test(String(signature))) {
    yield `Invalid value at '${where}.thought_signature' (TYPE_BYTES), Base64 decoding failed`
  }
}

function* problemsOfTurns(contents: readonly Content[]): Generator<string> {
  for (const [at, { parts }] of contents.entries()) {
    const before = contents[at - 1]
    const calls = parts.filter((part) => part.functionCall).length
    const responses = parts.filter((part) => part.functionResponse).length
    const asked = before?.parts.filter((part) => part.functionCall).length ?? 0
    if (calls > 0 && before?.role !== 'user') {
      yield 'Please ensure that function call turn comes immediately after a user turn or after a function response turn.'
    }
    if (responses !== asked) {
      yield 'Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.'
    }
  }
}

/** Of the current turn, each step's first call must be signed; a signature must be of its own call wherever it is. */
function* problemsOfSignatures(contents: readonly Content[]): Generator<string> {
  const begin = contents.findLastIndex(
    ({ role, parts }) => role === 'user' && parts.some((part) => !part.functionResponse),
  )
  for (const [at, { parts }] of contents.entries()) {
    const calls = parts.filter((part) => part.functionCall)
    if (at > begin && calls[0] && !calls[0].thoughtSignature) {
      yield `Function call is missing a thought_signature in functionCall parts. Additional data, function call \`default_api:${calls[0].functionCall?.name}\` , position ${at + 1}.`
    }
    for (const { functionCall, thoughtSignature } of calls) {
      const isOwn = thoughtSignature === signatureOf(functionCall?.name ?? '', functionCall?.args)
      if (thoughtSignature && thoughtSignature !== PLACEHOLDER && !isOwn) yield 'Corrupted thought signature.'
    }
  }
}

export const signsCalls = (model: string): boolean => Number(/^gemini-(\d+)/.exec(model)?.[1] ?? 3) >= 3

function* problemsOf(body: unknown): Generator<string> {
  if (!isObject(body)) return yield 'Invalid JSON payload received.'
  yield* unknownIn(body, requestFields, '')
  const config = isObject(body.generationConfig) ? body.generationConfig : {}
  yield* unknownIn(config, configFields, " at 'generation_config'")
  if (Array.isArray(config.stopSequences) && config.stopSequences.length > 5)
    yield 'The number of stop sequences is not in [0, 5].'
  const contents: unknown[] = Array.isArray(body.contents) ? body.contents : []
  if (contents.length === 0) yield '* GenerateContentRequest.contents: contents is not specified'
  for (const [at, content] of contents.entries()) {
    const parts: unknown[] = isObject(content) && Array.isArray(content.parts) ? content.parts : []
    if (parts.length === 0) yield `* GenerateContentRequest.contents[${at}].parts: contents.parts must not be empty.`
    if (isObject(content) && content.role !== 'user' && content.role !== 'model')
      yield 'Please use a valid role: user, model.'
    for (const [position, part] of parts.entries()) yield* problemsOfPart(part, `contents[${at}].parts[${position}]`)
  }
}

/** What the vendor would say of a request that it refuses; undefined for one that it takes. */
export function refusalOf(body: unknown, model: string): string | undefined {
  const [problem] = problemsOf(body)
  if (problem !== undefined) return problem
  const { contents } = body as GenerateRequest
  const [trouble] = problemsOfTurns(contents)
  if (trouble !== undefined || !signsCalls(model)) return trouble
  const [unsigned] = problemsOfSignatures(contents)
  return unsigned
}

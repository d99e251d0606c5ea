import type { ChatRequest, Tool } from './request.ts'
import { minimalExample } from './schema.ts'
import type { Script } from './script.ts'
import { englishPieces, piecesOf } from './words.ts'

export type ToolCall = { id: string; type: 'function' | 'custom'; name: string }
/** One billed token: a bit of content, or of the arguments of the call at `call`. The first bit of a call opens it. */
export type Piece = { choice: number; text: string; call?: number; opens?: ToolCall }
export type Choice = { text: string; calls: (ToolCall & { input: string })[]; finish: 'stop' | 'length' | 'tool_calls' }
/** `pieces` in the order in which a stream sends them: the choices take turns, and so do the calls of one choice. */
export type Answer = { pieces: readonly Piece[]; choices: readonly Choice[] }

const defaultPieces = 16

const inTurns = <Item>(lists: readonly (readonly Item[])[]): Item[] => {
  const longest = Math.max(0, ...lists.map((list) => list.length))
  return Array.from({ length: longest }, (_unused, index) =>
    lists.flatMap((list) => list.slice(index, index + 1)),
  ).flat()
}

const nameOf = (tool: Tool) => (tool.type === 'function' ? tool.function.name : tool.custom.name)

/** Which of the request's tools are called: those that `tool_choice` forces, or all of them when the script says so. */
function toolsToCall(request: ChatRequest, script: Script): readonly Tool[] {
  const tools = request.tools ?? []
  const choice = request.tool_choice ?? 'auto'
  if (choice === 'none') return []
  const first = tools.slice(0, 1)
  if (choice === 'required') return script.tools ? tools : first
  if (choice === 'auto') return script.tools ? tools : []
  if (choice.type === 'allowed_tools') return script.tools || choice.allowed_tools.mode === 'required' ? first : []
  const forced = choice.type === 'function' ? choice.function.name : choice.custom.name
  return tools.filter((tool) => nameOf(tool) === forced)
}

function callsOf(request: ChatRequest, script: Script): { call: ToolCall; input: string }[] {
  let tools = toolsToCall(request, script)
  if (request.parallel_tool_calls === false) tools = tools.slice(0, 1)
  // One tool alone is still called in parallel, with itself.
  else if (script.tools && tools.length === 1) tools = [...tools, ...tools]
  return tools.map((tool, index) => ({
    call: { id: `call_${index}${nameOf(tool)}`, type: tool.type, name: nameOf(tool) },
    input: tool.type === 'function' ? JSON.stringify(minimalExample(tool.function.parameters)) : 'custom input',
  }))
}

function piecesOfCalls(calls: readonly { call: ToolCall; input: string }[], choice: number): Piece[] {
  return inTurns(
    calls.map(({ call, input }, index) => [
      { choice, text: '', call: index, opens: call },
      ...piecesOf(input).map((text) => ({ choice, text, call: index })),
    ]),
  )
}

/** Puts the pieces of one choice together again, as far as `limit` let them be written. */
function assemble(pieces: readonly Piece[], limit: number): { kept: readonly Piece[]; choice: Choice } {
  const kept = pieces.slice(0, limit)
  const choice: Choice = { text: '', calls: [], finish: 'stop' }
  for (const piece of kept) {
    const call = piece.call === undefined ? undefined : choice.calls[piece.call]
    if (piece.opens) choice.calls.push({ ...piece.opens, input: '' })
    else if (call) call.input += piece.text
    else choice.text += piece.text
  }
  if (kept.length < pieces.length) choice.finish = 'length'
  else if (choice.calls.length > 0) choice.finish = 'tool_calls'
  return { kept, choice }
}

function answerOf(choices: readonly (readonly Piece[])[], limit: number): Answer {
  const assembled = choices.map((pieces) => assemble(pieces, limit))
  return { pieces: inTurns(assembled.map(({ kept }) => kept)), choices: assembled.map(({ choice }) => choice) }
}

/** Plain text, of which every choice gets its own. */
export function textAnswer(seed: number, count: number, limits: { choices: number; limit: number }): Answer {
  const choices = Array.from({ length: limits.choices }, (_unused, choice) =>
    englishPieces(seed + choice, count).map((text) => ({ choice, text })),
  )
  return answerOf(choices, limits.limit)
}

export const outputLimit = (request: { max_tokens?: number | null | undefined; max_completion_tokens?: unknown }) => {
  const limit = request.max_completion_tokens ?? request.max_tokens
  return typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY
}

/** What the model says to a chat request: calls, JSON that fits the schema, or English. */
export function chatAnswer(request: ChatRequest, script: Script, seed: number): Answer {
  const limits = { choices: request.n ?? 1, limit: outputLimit(request) }
  const calls = callsOf(request, script)
  const format = request.response_format
  if (calls.length === 0 && !(script.schema && format?.type === 'json_schema')) {
    return textAnswer(seed, script.pieces ?? defaultPieces, limits)
  }
  const json = format?.type === 'json_schema' ? JSON.stringify(minimalExample(format.json_schema.schema)) : ''
  const choices = Array.from({ length: limits.choices }, (_unused, choice) =>
    calls.length > 0 ? piecesOfCalls(calls, choice) : piecesOf(json).map((text) => ({ choice, text })),
  )
  return answerOf(choices, limits.limit)
}

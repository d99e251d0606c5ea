import type { ChatRequest } from '../completions/service.ts'
import type { Losses } from './parts.ts'
import type { CountRequest, Tool } from './schema.ts'

/** Of a tool, what says nothing to a model of another vendor and changes nothing if it is left out. */
const HINTS: ReadonlySet<string> = new Set([
  'type',
  'name',
  'description',
  'input_schema',
  'strict',
  'cache_control',
  'eager_input_streaming',
])

/** A tool of the caller's own; the others are Anthropic's, and run there or have a schema that only its models know. */
const isOwn = ({ type }: Tool): boolean => type === undefined || type === null || type === 'custom'

/**
 * Tools whose work is done by the vendor within the call: what they cost and what the model reads of it is bounded by
 * nothing that can be seen here. Anthropic names the ones that its clients run.
 */
const RUN_BY_CALLER = /^(?:bash|text_editor|computer|memory|browser)_/

export const isRunByVendor = (tool: Tool): boolean => !isOwn(tool) && !RUN_BY_CALLER.test(tool.type ?? '')

type Tools = Pick<ChatRequest, 'tools' | 'tool_choice' | 'parallel_tool_calls'>

/** Tools and their choice as OpenAI's function tools. What has no form there is added to `lost`. */
export function chatTools(
  { tools, tool_choice: choice }: Pick<CountRequest, 'tools' | 'tool_choice'>,
  lost: Losses,
): Tools {
  const given = tools ?? []
  const own = given.filter(isOwn)
  for (const tool of given) if (!isOwn(tool)) lost.add(`tools.${tool.type}`)
  const fields: Tools = {}
  if (own.length > 0) fields.tools = own.map((tool) => functionTool(tool, lost))
  if (!choice) return fields
  const isKnown = choice.type !== 'tool' || own.some(({ name }) => name === choice.name)
  if (own.length > 0 && isKnown) fields.tool_choice = choiceOf(choice)
  else if (choice.type !== 'auto' && choice.type !== 'none') lost.add('tool_choice')
  if (own.length > 0 && choice.disable_parallel_tool_use === true) fields.parallel_tool_calls = false
  return fields
}

function functionTool(tool: Tool, lost: Losses) {
  const { name = '', description, input_schema: parameters, strict, cache_control } = tool
  for (const field of Object.keys(tool)) if (!HINTS.has(field)) lost.add(`tools.${field}`)
  return {
    type: 'function',
    function: {
      name,
      ...(description !== undefined && { description }),
      ...(parameters && { parameters }),
      ...(typeof strict === 'boolean' && { strict }),
    },
    ...(cache_control && { cache_control }),
  }
}

function choiceOf({ type, name }: NonNullable<CountRequest['tool_choice']>) {
  if (type === 'tool') return { type: 'function', function: { name } }
  return type === 'any' ? 'required' : type
}

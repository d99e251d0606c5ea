import type { ChatBody } from '../../core/models.ts'
import { cacheControlOf } from './anthropic-content.ts'
import type { ClaudeTraits } from './anthropic-models.ts'
import { isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'
import { inexpressible } from './neutral.ts'

export type Tools = {
  tools: JsonObject[]
  /** Undefined without tools. */
  choice: JsonObject | undefined
  /** Whether a call is demanded. */
  forced: boolean
  /** Tools that take a text, not an object. */
  custom: ReadonlySet<string>
}

/** What a tool of free text looks like to a vendor that knows only objects. */
const customSchema = {
  type: 'object',
  properties: { input: { type: 'string' } },
  required: ['input'],
  additionalProperties: false,
}

type Context = { traits: ClaudeTraits; ignored: Set<string>; called: ReadonlySet<string> }

/**
 * Tools in the caller's order, which the cached prefix of a prompt begins with, and how they may be used. `called` are
 * the tools that the conversation already used: the vendor wants them declared, even where none may be used any more.
 */
export function toolsOf(body: ChatBody, context: Context): Tools {
  const { traits, ignored, called } = context
  const allowed = allowedNames(body.tool_choice)
  const given = objectsOf(body.tools)
  const custom = new Set(given.flatMap(({ custom: tool }) => (isObject(tool) ? [String(tool.name)] : [])))
  const tools = given
    .map((tool, position) => toolOf(tool, `tools[${position}]`, context))
    .filter(({ name }) => allowed === undefined || allowed.has(String(name)))
  if (tools.length === 0) {
    const declared = [...called].map((name) => ({ name, input_schema: { type: 'object' } }))
    const choice = declared.length === 0 ? undefined : { type: 'none' }
    return { tools: declared, choice, forced: false, custom }
  }
  const wish = choiceOf(body.tool_choice)
  const isForcing = wish.type === 'any' || wish.type === 'tool'
  if (isForcing && !traits.forcesTools) ignored.add('tool_choice')
  const choice = isForcing && !traits.forcesTools ? { type: 'auto' } : wish
  const isSingle = body.parallel_tool_calls === false && choice.type !== 'none'
  return {
    tools,
    choice: isSingle ? { ...choice, disable_parallel_tool_use: true } : choice,
    forced: isForcing && traits.forcesTools,
    custom,
  }
}

function toolOf(tool: JsonObject, path: string, { traits, ignored }: Context): JsonObject {
  if (isObject(tool.custom)) return customTool(tool, tool.custom, { path, ignored })
  const definition = tool.function
  if (!isObject(definition)) throw inexpressible('This vendor takes functions and custom tools.', path)
  const { name, description, parameters, strict } = definition
  const isStrict = strict === true && traits.schemas
  if (strict === true && !isStrict) ignored.add('tools[].function.strict')
  return {
    name,
    ...(typeof description === 'string' ? { description } : {}),
    input_schema: isObject(parameters) ? { type: 'object', ...parameters } : { type: 'object', properties: {} },
    ...(isStrict ? { strict } : {}),
    ...cacheControlOf(tool),
  }
}

type Place = { path: string; ignored: Set<string> }

function customTool(tool: JsonObject, custom: JsonObject, { path, ignored }: Place): JsonObject {
  const { name, description, format } = custom
  if (isObject(format) && format.type !== 'text') ignored.add(`${path}.custom.format`)
  return {
    name,
    ...(typeof description === 'string' ? { description } : {}),
    input_schema: customSchema,
    ...cacheControlOf(tool),
  }
}

function nameIn(choice: JsonObject): string | undefined {
  const named = isObject(choice.function) ? choice.function : choice.custom
  return isObject(named) ? stringOf(named.name) : undefined
}

/** The names of an `allowed_tools` choice: this wire has no such list, so the other tools are not sent at all. */
function allowedNames(choice: unknown): ReadonlySet<string> | undefined {
  if (!isObject(choice) || choice.type !== 'allowed_tools' || !isObject(choice.allowed_tools)) return undefined
  return new Set(objectsOf(choice.allowed_tools.tools).map((tool) => nameIn(tool) ?? ''))
}

function choiceOf(choice: unknown): JsonObject {
  if (isObject(choice)) {
    const name = nameIn(choice)
    if (name !== undefined) return { type: 'tool', name }
    const isRequired = isObject(choice.allowed_tools) && choice.allowed_tools.mode === 'required'
    return { type: isRequired ? 'any' : 'auto' }
  }
  if (choice === 'required') return { type: 'any' }
  return { type: choice === 'none' ? 'none' : 'auto' }
}

import type { ChatBody } from '../../core/models.ts'
import { validatesCalls } from './gemini-models.ts'
import { isObject, type JsonObject, objectsOf, stringOf } from './json-shape.ts'

/**
 * Function tools and the choice among them: `tools` and `toolConfig`. Schemas travel untouched in the field that takes
 * standard JSON Schema. Other kinds of tools have no place here and are added to `ignored`.
 */
export function toolsOf(body: ChatBody, model: string, ignored: Set<string>): JsonObject {
  let isStrict = false
  const functionDeclarations = objectsOf(body.tools).flatMap((tool, position) => {
    if (!isObject(tool.function) || !stringOf(tool.function.name)) {
      ignored.add(`tools[${position}]`)
      return []
    }
    const { name, description, parameters, strict } = tool.function
    if (strict === true) isStrict = true
    return [
      {
        name,
        ...(stringOf(description) ? { description } : {}),
        ...(hasFields(parameters) ? { parametersJsonSchema: parameters } : {}),
      },
    ]
  })
  if (functionDeclarations.length === 0) {
    if (!isAutomatic(body.tool_choice) && body.tool_choice !== 'none') ignored.add('tool_choice')
    return {}
  }
  if (isStrict && !validatesCalls(model)) ignored.add('tools[].function.strict')
  const config = choiceOf(body.tool_choice, isStrict && validatesCalls(model), ignored)
  return {
    tools: [{ functionDeclarations }],
    ...(config === undefined ? {} : { toolConfig: { functionCallingConfig: config } }),
  }
}

const isAutomatic = (choice: unknown) => choice === undefined || choice === null || choice === 'auto'

const hasFields = (schema: unknown) => isObject(schema) && Object.keys(schema).length > 0

/** `ANY` obliges the model to call and binds it to the schemas; `VALIDATED` binds it only when it calls. */
function choiceOf(choice: unknown, bound: boolean, ignored: Set<string>): JsonObject | undefined {
  if (isAutomatic(choice)) return bound ? { mode: 'VALIDATED' } : undefined
  if (choice === 'none') return { mode: 'NONE' }
  if (choice === 'required') return { mode: 'ANY' }
  const named = isObject(choice) && isObject(choice.function) ? stringOf(choice.function.name) : undefined
  if (named) return { mode: 'ANY', allowedFunctionNames: [named] }
  const allowed = allowedTools(choice)
  if (allowed !== undefined) return allowed
  ignored.add('tool_choice')
  return undefined
}

/** `{type: 'allowed_tools', allowed_tools: {mode, tools: [{type: 'function', function: {name}}]}}`. */
function allowedTools(choice: unknown): JsonObject | undefined {
  if (!isObject(choice) || choice.type !== 'allowed_tools') return undefined
  const allowed = isObject(choice.allowed_tools) ? choice.allowed_tools : choice
  const names = objectsOf(allowed.tools).flatMap(
    (tool) => stringOf(isObject(tool.function) ? tool.function.name : tool.name) ?? [],
  )
  if (names.length === 0) return undefined
  return { mode: allowed.mode === 'required' ? 'ANY' : 'VALIDATED', allowedFunctionNames: names }
}

import { hashText } from './pieces.ts'
import { valueForSchema } from './schema-value.ts'
import { isJsonObject, type JsonObject, type ToolCall, type ToolSpec } from './types.ts'

const fillerWords = new Set(
  (
    'a an and any are as at be by can current do does for from get give given has have how i in into is it its make ' +
    'me my of on one or please retrieve return returns run set some tell that the their then there this to tool up ' +
    'use user want was what when where which who will with you your function name value given call'
  ).split(' '),
)

function words(text: string): string[] {
  const spaced = text.replace(/([a-z\d])([A-Z])/g, '$1 $2').toLowerCase()
  return (spaced.match(/[\p{L}\p{N}]+/gu) ?? []).filter((word) => !fillerWords.has(word))
}

/** Singular and plural, "search" and "searching" count as the same word. */
function stem(word: string): string {
  return word.length > 5 ? word.replace(/(?:ing|es|s|ed)$/, '') : word.replace(/s$/, '')
}

/** The tools that a message asks for: named outright, by a telling word of the name, or by two of the description. */
export function matchTools(message: string, tools: readonly ToolSpec[]): ToolSpec[] {
  const asked = new Set(words(message).map(stem))
  return tools.filter((tool) => {
    if (message.toLowerCase().includes(tool.name.toLowerCase())) return true
    if (words(tool.name).some((word) => asked.has(stem(word)))) return true
    return (
      new Set(
        words(tool.description)
          .map(stem)
          .filter((word) => asked.has(word)),
      ).size >= 2
    )
  })
}

/** Quoted phrases, else runs of capitalised words after the first word: what a question is about. */
function entities(message: string): string[] {
  const quoted = [...message.matchAll(/"([^"]+)"|'([^'\s][^']*)'/g)].map((match) => match[1] ?? match[2] ?? '')
  if (quoted.length > 0) return quoted
  const names = [...message.matchAll(/(?<=[^.!?\s]\s)\p{Lu}[\p{L}\p{M}'-]*(?:\s\p{Lu}[\p{L}\p{M}'-]*)*/gu)]
  return [...new Set(names.map((match) => match[0]).filter((name) => name !== 'I'))]
}

function numbersIn(message: string): number[] {
  return [...message.matchAll(/-?\d+(?:\.\d+)?/g)].map((match) => Number(match[0]))
}

/** An enum member that the message mentions comes first, so that it is the one taken. */
function preferMentioned(schema: unknown, message: string): unknown {
  if (!isJsonObject(schema)) return schema
  const result: JsonObject = { ...schema }
  if (Array.isArray(schema.enum)) {
    const lower = message.toLowerCase()
    const mentioned = (value: unknown) => typeof value === 'string' && lower.includes(value.toLowerCase())
    result.enum = [...schema.enum.filter(mentioned), ...schema.enum.filter((value) => !mentioned(value))]
  }
  if (isJsonObject(schema.properties)) {
    const entries = Object.entries(schema.properties)
    result.properties = Object.fromEntries(entries.map(([name, child]) => [name, preferMentioned(child, message)]))
  }
  if (isJsonObject(schema.items)) result.items = preferMentioned(schema.items, message)
  return result
}

function argumentsFor(tool: ToolSpec, message: string, subject: string): JsonObject {
  const numbers = numbersIn(message)
  let used = 0
  const schema = preferMentioned(tool.parameters, message)
  const value = valueForSchema(isJsonObject(schema) ? { type: 'object', ...schema } : { type: 'object' }, {
    text: () => subject,
    number: () => {
      const next = numbers[used]
      used += 1
      return next
    },
  })
  return isJsonObject(value) ? value : {}
}

/** A tool with one required text parameter is called once per thing the message names. */
function subjectsFor(tool: ToolSpec, message: string): string[] {
  const found = entities(message)
  const required = Array.isArray(tool.parameters.required) ? tool.parameters.required : []
  const properties = isJsonObject(tool.parameters.properties) ? tool.parameters.properties : {}
  const only = required.length === 1 && typeof required[0] === 'string' ? properties[required[0]] : undefined
  const takesText = isJsonObject(only) && only.type === 'string' && only.enum === undefined
  if (found.length === 0) return [message.trim()]
  return takesText ? found : found.slice(0, 1)
}

/** Calls that answer the message, possibly several in parallel; ids are unique within a node through `sequence`. */
export function chooseToolCalls(message: string, tools: readonly ToolSpec[], sequence: number): ToolCall[] {
  const calls = matchTools(message, tools).flatMap((tool) =>
    subjectsFor(tool, message).map((subject) => ({ name: tool.name, arguments: argumentsFor(tool, message, subject) })),
  )
  return calls.map((call, index) => ({ id: callId(sequence, index), function: { index, ...call } }))
}

/** `call_` and eight base-36 characters. */
export function callId(sequence: number, index: number): string {
  return `call_${hashText(`call ${sequence} ${index}`).toString(36).padStart(8, '0').slice(-8)}`
}

import type { ChatRequest } from '../completions/service.ts'
import type { CreateResponse, Tool } from './schema.ts'

type ChatTools = Pick<ChatRequest, 'tools' | 'tool_choice' | 'parallel_tool_calls'>

/** The tools of a request in the words of chat completions, which put what a tool is under its type. */
export function chatTools({ tools, tool_choice: choice, parallel_tool_calls: parallel }: CreateResponse): ChatTools {
  const given = tools ?? []
  return {
    ...(given.length > 0 && { tools: given.map(chatTool) }),
    // Vendors refuse to be told which of no tools to use.
    ...(choice && given.length > 0 && { tool_choice: typeof choice === 'string' ? choice : chatChoice(choice) }),
    ...(typeof parallel === 'boolean' && given.length > 0 && { parallel_tool_calls: parallel }),
  }
}

function chatTool({ type, name, description, parameters, strict, format, cache_control: mark }: Tool) {
  const about = { name, ...(description && { description }) }
  const marked = mark === undefined ? {} : { cache_control: mark }
  if (type === 'custom') return { type, custom: { ...about, ...(format && { format: chatFormat(format) }) }, ...marked }
  const called = { ...about, ...(parameters && { parameters }), ...(typeof strict === 'boolean' && { strict }) }
  return { type, function: called, ...marked }
}

function chatFormat({ type, ...format }: NonNullable<Tool['format']>) {
  return type === 'grammar' ? { type, grammar: format } : { type, ...format }
}

type Choice = Exclude<NonNullable<CreateResponse['tool_choice']>, string>

const named = ({ type, name }: Pick<Choice, 'type' | 'name'>) => ({ type, [type]: { name } })

const chatChoice = ({ type, name, mode, tools }: Choice) =>
  type === 'allowed_tools' ? { type, allowed_tools: { mode, tools: tools?.map(named) } } : named({ type, name })
